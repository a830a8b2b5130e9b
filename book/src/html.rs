//! Text for pages.

use pulldown_cmark::{Options, Parser};

/// Text in an element or an attribute. It has no line end: an empty line would end the block of HTML that
/// Markdown sees.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// Markdown inside a directive.
pub(crate) fn markdown(text: &str) -> String {
    let mut html = String::new();
    let parser = Parser::new_ext(text, Options::ENABLE_TABLES);
    pulldown_cmark::html::push_html(&mut html, parser);
    without_empty_lines(&html)
}

/// The same without the paragraph around it, for a piece of a sentence.
pub(crate) fn inline_markdown(text: &str) -> String {
    let html = markdown(text);
    let inner = html.trim().strip_prefix("<p>");
    match inner.and_then(|inner| inner.strip_suffix("</p>")) {
        Some(inner) if !inner.contains("<p>") => inner.to_owned(),
        _ => html,
    }
}

/// HTML that Markdown takes for one block. Only `pre` minds the line that it loses, and gets it back.
pub(crate) fn without_empty_lines(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    for line in html.trim().lines() {
        text.push_str(if line.trim().is_empty() {
            "&#10;"
        } else {
            line
        });
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_element() {
        assert_eq!(escape("a<b>\n\"&\""), "a&lt;b&gt;&#10;&quot;&amp;&quot;");
    }

    #[test]
    fn a_sentence_has_no_paragraph_and_two_have() {
        assert_eq!(inline_markdown("one `word`"), "one <code>word</code>");
        assert!(inline_markdown("one\n\ntwo").contains("<p>"));
    }

    #[test]
    fn no_line_is_empty() {
        let html = markdown("```\na\n\nb\n```\n\nnext");
        assert!(html.lines().all(|line| !line.trim().is_empty()), "{html}");
        assert!(html.contains("a\n&#10;\nb"), "{html}");
    }
}
