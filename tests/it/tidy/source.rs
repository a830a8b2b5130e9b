//! A source file with its comments and strings blanked out, and the paths and names in what is left.
//!
//! This is no parser of Rust: it knows as much as the rules need, and reports a line.

use std::fs;
use std::path::Path;

pub(crate) struct Source {
    /// From the package's root, as in `src/model/mod.rs`.
    pub(crate) path: String,
    /// The text, in which each comment and string has become spaces; its lines are where they were.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Source {
        Source {
            path: path.to_owned(),
            code: blank_comments_and_strings(text),
        }
    }

    /// All Rust files of a folder, of which there is at least one.
    #[track_caller]
    pub(crate) fn all_below(folder: &str) -> Vec<Source> {
        let paths = files_below(folder, "rs");
        assert!(!paths.is_empty(), "there are no sources below {folder}");
        paths
            .iter()
            .map(|path| Source::new(path, &read(path)))
            .collect()
    }

    /// `model::eventpoll::ctl` for `src/model/eventpoll/ctl.rs`; a `mod.rs` is its folder.
    pub(crate) fn module(&self) -> Vec<String> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        path.trim_end_matches("/mod")
            .split('/')
            .map(str::to_owned)
            .collect()
    }

    /// `path:line: problem`, which a terminal makes a link.
    pub(crate) fn at(&self, line: usize, problem: String) -> String {
        format!("{}:{line}: {problem}", self.path)
    }

    pub(crate) fn line_of(&self, offset: usize) -> usize {
        1 + self.code[..offset].matches('\n').count()
    }

    /// Every word of the code with its line.
    pub(crate) fn identifiers(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().flat_map(|(line, text)| {
            let words = text.split(|c| !is_word(c)).filter(|word| !word.is_empty());
            words.map(move |word| (line + 1, word))
        })
    }

    /// Every path that starts with `root`, spelled out: `root::{a::b, c}` is two.
    pub(crate) fn paths(&self, root: &str) -> Vec<(usize, Vec<String>)> {
        let mut found = Vec::new();
        for (offset, _) in self.code.match_indices(root) {
            let before = self.code[..offset].trim_end();
            let is_start = !self.code[..offset].ends_with(is_word) && !before.ends_with("::");
            let rest = &self.code[offset + root.len()..];
            if !is_start || !rest.trim_start().starts_with("::") {
                continue;
            }
            let mut paths = Vec::new();
            let root = vec![root.to_owned()];
            UseTree(rest).rest_of(root, &mut paths);
            let line = self.line_of(offset);
            found.extend(paths.into_iter().map(|path| (line, path)));
        }
        found
    }
}

/// What is left to read of a path, or of the tree of paths in a `use`.
struct UseTree<'a>(&'a str);

impl UseTree<'_> {
    /// After a name: `::` and more, or the end. `self` and `*` stand for the path so far.
    fn rest_of(&mut self, path: Vec<String>, found: &mut Vec<Vec<String>>) {
        if !self.skip("::") {
            return found.push(path);
        }
        if !self.skip("{") {
            return self.name_after(path, found);
        }
        while !self.skip("}") {
            let before = self.0.len();
            self.name_after(path.clone(), found);
            // A rename says nothing about where the thing comes from.
            if self.skip("as ") {
                self.word();
            }
            self.skip(",");
            assert!(
                self.0.len() < before,
                "cannot read the paths in {:?}",
                self.0
            );
        }
    }

    fn name_after(&mut self, mut path: Vec<String>, found: &mut Vec<Vec<String>>) {
        match self.word() {
            "" => {
                self.skip("*");
                found.push(path);
            }
            "self" => found.push(path),
            name => {
                path.push(name.to_owned());
                self.rest_of(path, found);
            }
        }
    }

    fn word(&mut self) -> &str {
        let text = self.0.trim_start();
        let (word, rest) = text.split_at(text.find(|c| !is_word(c)).unwrap_or(text.len()));
        self.0 = rest;
        word
    }

    fn skip(&mut self, token: &str) -> bool {
        match self.0.trim_start().strip_prefix(token) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn blank_comments_and_strings(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after_word = code.ends_with(is_word);
        let blank = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => string_length(rest),
            'r' if !after_word => raw_string_length(rest),
            '\'' => char_length(rest),
            _ => 0,
        };
        let taken = if blank == 0 { c.len_utf8() } else { blank };
        let (part, left) = rest.split_at(taken);
        if blank == 0 {
            code.push_str(part);
        } else {
            code.extend(part.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        }
        rest = left;
    }
    code
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|&(_, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(end, _)| end + 1)
}

/// 0 where no raw string starts.
fn raw_string_length(text: &str) -> usize {
    let hashes = text[1..].chars().take_while(|c| *c == '#').count();
    if !text[1 + hashes..].starts_with('"') {
        return 0;
    }
    let (start, close) = (2 + hashes, format!("\"{}", "#".repeat(hashes)));
    text[start..]
        .find(&close)
        .map_or(text.len(), |end| start + end + close.len())
}

/// 0 where a lifetime starts.
fn char_length(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => text[3..].find('\'').map_or(0, |end| 3 + end + 1),
        Some(_) => match chars.next() {
            Some((end, '\'')) => end + 1,
            _ => 0,
        },
        None => 0,
    }
}

/// The files of a folder and its folders, from the package's root, in order.
pub(crate) fn files_below(folder: &str, extension: &str) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(&folder)) else {
            continue;
        };
        for entry in entries {
            let entry = entry.expect("a folder can be listed");
            let path = format!("{folder}/{}", entry.file_name().display());
            if entry.path().is_dir() {
                folders.push(path);
            } else if path.ends_with(&format!(".{extension}")) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

#[track_caller]
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn comments_and_strings_are_blanked_line_by_line() {
    let code = |text| blank_comments_and_strings(text);
    assert_eq!(code("a // b\nc"), "a     \nc");
    assert_eq!(code("a \"b\\\"\nc\" d"), "a     \n   d");
    assert_eq!(code("r#\"a\"b\"# c"), "         c");
    assert_eq!(code("f('\"', '\\'', 'a) // b"), "f(   ,     , 'a)     ");
    assert_eq!(code("fn f<'a>(x: &'a str)"), "fn f<'a>(x: &'a str)");
}

#[test]
fn a_use_tree_is_spelled_out() {
    let source = Source::new(
        "src/a.rs",
        "use crate::{b::{self, C as D}, e::*};\nlet f = crate::g();",
    );
    let paths: Vec<String> = source
        .paths("crate")
        .iter()
        .map(|(line, path)| format!("{line} {}", path.join("::")))
        .collect();
    assert_eq!(
        paths,
        ["1 crate::b", "1 crate::b::C", "1 crate::e", "2 crate::g"]
    );
}
