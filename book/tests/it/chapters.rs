//! What each chapter has, so that readers find the same things in the same places.

use std::fs;
use std::path::PathBuf;

use crate::project;

/// The chapters that SUMMARY.md lists; a line without a bullet is a page about the book.
pub(crate) fn chapters() -> Vec<(PathBuf, String)> {
    let source = project().join("book/en/src");
    let summary = fs::read_to_string(source.join("SUMMARY.md")).expect("a summary");
    let listed = summary
        .lines()
        .filter(|line| line.trim_start().starts_with("- ["));
    let paths = listed.filter_map(|line| line.split_once("](")?.1.strip_suffix(')'));
    let chapters: Vec<_> = paths
        .map(|path| {
            let text = fs::read_to_string(source.join(path)).expect("a chapter");
            (PathBuf::from(path), text)
        })
        .collect();
    assert!(!chapters.is_empty());
    chapters
}

/// The text for people: without blocks of code and directives, but with what predictions say.
fn prose(text: &str) -> String {
    let mut prose = String::new();
    let mut kept = true;
    for line in text.lines() {
        if let Some(info) = line.strip_prefix("```") {
            kept = info.starts_with("lab predict") || (info.is_empty() && !kept) || info.is_empty();
            continue;
        }
        if line.starts_with("reveal:") {
            kept = false;
        }
        if kept {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

/// The heads of directives of this kind.
fn directives<'t>(text: &'t str, kind: &str) -> Vec<&'t str> {
    let heads = text.lines().filter_map(|line| {
        let head = line
            .strip_prefix("```lab ")
            .or_else(|| line.strip_prefix("reveal: "));
        head.filter(|head| head.split_whitespace().next() == Some(kind))
    });
    heads.collect()
}

#[test]
fn chapters_have_a_readable_length() {
    for (path, text) in chapters() {
        let words = prose(&text).split_whitespace().count();
        assert!(
            (1000..=2000).contains(&words),
            "{}: {words} words",
            path.display()
        );
    }
}

#[test]
fn a_chapter_begins_with_one_question() {
    for (path, text) in chapters() {
        let questions: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("> **Question.**"))
            .collect();
        assert_eq!(questions.len(), 1, "{}", path.display());
        let (before, _) = text.split_once("> **Question.**").expect("it is there");
        assert_eq!(
            before.lines().filter(|line| !line.is_empty()).count(),
            1,
            "{}: only the title stands before it",
            path.display()
        );
    }
}

#[test]
fn a_chapter_predicts_shows_draws_and_asks() {
    for (path, text) in chapters() {
        let count = |kind| directives(&text, kind).len();
        let path = path.display();
        assert!(count("predict") >= 1, "{path} has no prediction");
        assert!(
            count("transcript") + count("outcomes") >= 1,
            "{path} has no transcript"
        );
        assert!(
            count("figure") + count("state") >= 1,
            "{path} has no figure"
        );
        assert!(count("exercise") >= 1, "{path} has no exercise");
    }
}

#[test]
fn a_chapter_ends_with_what_to_remember_and_where_it_is_so() {
    for (path, text) in chapters() {
        let headings: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .collect();
        let last = headings
            .get(headings.len().saturating_sub(3)..)
            .unwrap_or_default();
        assert_eq!(
            last,
            ["Remember", "In the kernel", "Man pages"],
            "{}",
            path.display()
        );
        let (_, kernel) = text.split_once("## In the kernel").expect("it is there");
        assert!(
            kernel.contains("fs/eventpoll.c") && kernel.contains("6.18"),
            "{}",
            path.display()
        );
        let (_, pages) = text.split_once("## Man pages").expect("it is there");
        assert!(pages.contains("epoll(7)"), "{}", path.display());
    }
}

#[test]
fn sentences_are_short() {
    for (path, text) in chapters() {
        let text = prose(&text);
        let paragraphs = text.split("\n\n").filter(|it| !it.starts_with(['#', '|']));
        for paragraph in paragraphs {
            for sentence in paragraph.split(['.', '?', '!', ':', ';']) {
                let words = sentence.split_whitespace().count();
                assert!(words <= 40, "{}: {words} words: {sentence}", path.display());
            }
        }
    }
}
