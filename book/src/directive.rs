//! Directives: fenced blocks whose first word is `lab`.
//!
//! ````text
//! ```lab KIND [SUBJECT] [key=value ...] [flag ...]
//! body
//! ```
//! ````
//!
//! A value with spaces stands in double quotes. Any other Markdown viewer shows the block as code.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::mistake::Mistake;

/// A directive of a chapter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Directive {
    /// The block with its fences.
    pub(crate) block: Range<usize>,
    /// What stands behind `lab`.
    pub(crate) head: Head,
    /// Its lines.
    pub(crate) body: String,
    /// Where they begin.
    pub(crate) body_start: usize,
}

/// The words of a directive, each with its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    pub(crate) kind: Word,
    /// Words without `=`.
    words: Vec<Word>,
    options: Vec<(Word, Word)>,
}

/// A word and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) span: Range<usize>,
}

impl Head {
    /// Reads what stands behind `lab`, at byte `start` of the text.
    pub(crate) fn read(text: &str, start: usize) -> Result<Head, Mistake> {
        let mut pieces = split(text, start)?.into_iter();
        let Some((None, kind)) = pieces.next() else {
            let end = start + text.trim_end().len();
            return Err(Mistake::new(
                start..end.max(start + 1),
                "a directive says what it is to show",
                "no kind",
            )
            .help(format!("known are {}", crate::show::KINDS.join(", "))));
        };
        let mut head = Head {
            kind,
            words: Vec::new(),
            options: Vec::new(),
        };
        for (key, value) in pieces {
            match key {
                Some(key) => head.options.push((key, value)),
                None => head.words.push(value),
            }
        }
        Ok(head)
    }

    /// Takes the value of an option.
    pub(crate) fn option(&mut self, key: &str) -> Option<Word> {
        let at = self.options.iter().position(|(word, _)| word.text == key)?;
        Some(self.options.remove(at).1)
    }

    /// Takes a flag.
    pub(crate) fn flag(&mut self, flag: &str) -> bool {
        let at = self.words.iter().position(|word| word.text == flag);
        at.map(|at| self.words.remove(at)).is_some()
    }

    /// Takes the first word that is left.
    pub(crate) fn subject(&mut self) -> Option<Word> {
        (!self.words.is_empty()).then(|| self.words.remove(0))
    }

    /// Whatever nobody has taken is a mistake.
    pub(crate) fn finish(&self) -> Result<(), Mistake> {
        let option = self.options.iter().map(|(key, _)| key);
        match option.chain(&self.words).next() {
            Some(word) => {
                let sentence = format!("`{}` means nothing to `{}`", word.text, self.kind.text);
                Err(Mistake::new(word.span.clone(), sentence, "unknown"))
            }
            None => Ok(()),
        }
    }
}

type Piece = (Option<Word>, Word);

fn split(text: &str, start: usize) -> Result<Vec<Piece>, Mistake> {
    let mut pieces = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Ok(pieces);
        }
        let at = start + text.len() - rest.len();
        let key = rest
            .find(['=', '"', ' '])
            .filter(|end| rest[*end..].starts_with('='));
        let key_word = key.map(|end| word(&rest[..end], at));
        let value_at = key.map_or(0, |end| end + 1);
        let value = &rest[value_at..];
        let (length, used) = match value.strip_prefix('"') {
            Some(quoted) => match quoted.find('"') {
                Some(end) => (1..1 + end, end + 2),
                None => {
                    let sentence = "this quotation has no end";
                    return Err(Mistake::new(
                        at + value_at..start + text.len(),
                        sentence,
                        "",
                    ));
                }
            },
            None => {
                let end = value.find(char::is_whitespace).unwrap_or(value.len());
                (0..end, end)
            }
        };
        let value_word = word(&value[length.clone()], at + value_at + length.start);
        pieces.push((key_word, value_word));
        rest = &value[used..];
    }
}

fn word(text: &str, start: usize) -> Word {
    Word {
        text: text.to_owned(),
        span: start..start + text.len(),
    }
}

/// All directives of a chapter, each read or with its mistake.
pub(crate) fn find(chapter: &str) -> Vec<Result<Directive, Mistake>> {
    let mut found = Vec::new();
    let mut open: Option<(Range<usize>, String, Option<Range<usize>>)> = None;
    let parser = Parser::new_ext(chapter, Options::all()).into_offset_iter();
    for (event, range) in parser {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                open = is_directive(&info).then(|| (range, String::new(), None));
            }
            Event::Text(text) => {
                if let Some((_, body, place)) = &mut open {
                    body.push_str(&text);
                    place.get_or_insert(range);
                }
            }
            Event::End(TagEnd::CodeBlock) => {
                if let Some((block, body, place)) = open.take() {
                    found.push(read(chapter, block, body, place));
                }
            }
            _ => {}
        }
    }
    found
}

fn is_directive(info: &str) -> bool {
    info.split_whitespace().next() == Some("lab")
}

fn read(
    chapter: &str,
    block: Range<usize>,
    body: String,
    place: Option<Range<usize>>,
) -> Result<Directive, Mistake> {
    let first = chapter[block.clone()].lines().next().unwrap_or_default();
    // The info string as it is written, so that places in it are those of the chapter.
    let at = first.find("lab").map_or(first.len(), |at| at + "lab".len());
    let head = Head::read(&first[at..], block.start + at)?;
    let line_start = chapter[..block.start].rfind('\n').map_or(0, |at| at + 1);
    if line_start != block.start {
        let sentence = "a directive stands at the beginning of its line";
        return Err(Mistake::new(
            block.start..block.start + first.len(),
            sentence,
            "",
        ));
    }
    Ok(Directive {
        body_start: place.map_or(block.start + first.len(), |place| place.start),
        block,
        head,
        body,
    })
}

/// The chapter with each directive replaced.
pub(crate) fn replace(chapter: &str, by: &[(Range<usize>, String)]) -> String {
    let mut text = String::with_capacity(chapter.len());
    let mut done = 0;
    for (block, html) in by {
        text.push_str(&chapter[done..block.start]);
        // Markdown ends a block of HTML at an empty line, and only there.
        text.push('\n');
        text.push_str(html.trim());
        text.push_str("\n\n");
        done = block.end;
    }
    text.push_str(&chapter[done..]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(chapter: &str) -> Result<Directive, Mistake> {
        let mut found = find(chapter);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    #[test]
    fn words_options_and_flags_are_told_apart_and_placed() {
        let chapter =
            "Text.\n\n```lab figure a/b lines=4..9 caption=\"Two words\" trace\nbody\n```\n";
        let mut directive = only(chapter).unwrap();
        let head = &mut directive.head;
        assert_eq!(head.kind.text, "figure");
        assert_eq!(head.subject().unwrap().text, "a/b");
        let lines = head.option("lines").unwrap();
        assert_eq!(&chapter[lines.span], "4..9");
        assert_eq!(head.option("caption").unwrap().text, "Two words");
        assert!(head.flag("trace"));
        head.finish().unwrap();
        assert_eq!(directive.body, "body\n");
        assert_eq!(&chapter[directive.body_start..][..4], "body");
    }

    #[test]
    fn what_nobody_takes_is_a_mistake_at_its_place() {
        let chapter = "```lab figure a colour=red\n```\n";
        let mut directive = only(chapter).unwrap();
        directive.head.subject();
        let mistake = directive.head.finish().unwrap_err();
        assert_eq!(&chapter[mistake.span], "colour");
    }

    #[test]
    fn a_quotation_must_end() {
        let mistake = only("```lab figure caption=\"x\n```\n").unwrap_err();
        assert_eq!(mistake.sentence, "this quotation has no end");
    }

    #[test]
    fn a_directive_without_a_kind_is_told_what_there_is() {
        let mistake = only("```lab\n```\n").unwrap_err();
        assert!(mistake.help[0].contains("transcript"), "{mistake:?}");
    }

    #[test]
    fn other_code_is_left_alone() {
        assert!(find("```rust\nlab transcript\n```\n\n    lab transcript\n").is_empty());
        assert!(find("````text\n```lab transcript x\n```\n````\n").is_empty());
    }

    #[test]
    fn a_directive_in_a_list_is_refused() {
        let mistake = only("- item\n\n  ```lab transcript x\n  ```\n").unwrap_err();
        assert!(mistake.sentence.contains("beginning of its line"));
    }
}
