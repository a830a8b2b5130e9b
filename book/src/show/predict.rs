//! `predict`: a question to answer before the answer is shown.
//!
//! ````text
//! ```lab predict
//! What does the second epoll_wait return?
//! - [ ] One event. The data are still there.
//!   No: edge-triggered does not ask what is there.
//! - [x] No event.
//!   Yes: nothing has happened since.
//! reveal: transcript 04-trigger/name
//! ```
//! ````
//!
//! The first line of a choice is the choice, the indented ones below say why. Behind `reveal:` stands another
//! directive, and its text, if it has one, in the lines below. All of it works without scripts.

use super::{Workshop, show_kind};
use crate::directive::Head;
use crate::html::{inline_markdown, markdown};
use crate::mistake::Mistake;

/// An answer to choose.
struct Choice {
    is_right: bool,
    text: String,
    why: String,
    span: std::ops::Range<usize>,
}

pub(super) fn show(
    workshop: &Workshop<'_>,
    head: &mut Head,
    body: &str,
    start: usize,
) -> Result<String, Mistake> {
    let (asked, reveal) = match body.find("\nreveal:") {
        Some(at) => (&body[..at + 1], Some(at + 1)),
        None => (body, None),
    };
    let Some(reveal) = reveal else {
        let sentence = "a prediction ends with what is the case";
        return Err(Mistake::new(
            head.kind.span.clone(),
            sentence,
            "no `reveal:` line",
        ));
    };
    let (question, choices) = read(asked, start)?;
    check(&choices, &question, head)?;
    let answer = revealed(workshop, &body[reveal..], start + reveal)?;
    let mut html = format!(
        "<section class=\"lab-predict\" id=\"{}-predict\">\n<p class=\"lab-title\">Predict</p>\n\
         <div class=\"lab-question\">{}</div>\n<p class=\"lab-how\">Choose before you look on.</p>\n",
        workshop.id,
        markdown(&question),
    );
    for choice in &choices {
        let (class, verdict) = match choice.is_right {
            true => ("lab-right", "Right."),
            false => ("lab-wrong", "Not so."),
        };
        html.push_str(&format!(
            "<details class=\"lab-choice {class}\">\n<summary>{}</summary>\n<p><b>{verdict}</b> {}</p>\n</details>\n",
            inline_markdown(&choice.text),
            inline_markdown(&choice.why),
        ));
    }
    html.push_str(&format!(
        "<details class=\"lab-reveal\">\n<summary>What happens</summary>\n{answer}\n</details>\n</section>"
    ));
    Ok(html)
}

fn read(asked: &str, start: usize) -> Result<(String, Vec<Choice>), Mistake> {
    let mut question = String::new();
    let mut choices: Vec<Choice> = Vec::new();
    let mut at = start;
    for line in asked.split_inclusive('\n') {
        let span = at..at + line.trim_end().len();
        at += line.len();
        let line = line.trim_end();
        let choice = line.strip_prefix("- [ ] ").map(|text| (false, text));
        let choice = choice.or_else(|| line.strip_prefix("- [x] ").map(|text| (true, text)));
        if let Some((is_right, text)) = choice {
            choices.push(Choice {
                is_right,
                text: text.to_owned(),
                why: String::new(),
                span,
            });
        } else if let Some(choice) = choices.last_mut() {
            match line.strip_prefix("  ") {
                Some(why) => {
                    choice.why.push_str(why);
                    choice.why.push('\n');
                }
                None if line.is_empty() => {}
                None => {
                    let sentence = "this belongs to no choice";
                    return Err(Mistake::new(span, sentence, "indent it by two spaces"));
                }
            }
        } else {
            question.push_str(line);
            question.push('\n');
        }
    }
    Ok((question, choices))
}

/// A prediction that teaches has a question, one right choice, and a reason for each.
fn check(choices: &[Choice], question: &str, head: &Head) -> Result<(), Mistake> {
    if let Some(choice) = choices.iter().find(|choice| choice.why.trim().is_empty()) {
        let sentence = "a choice says why it is right or wrong";
        return Err(Mistake::new(
            choice.span.clone(),
            sentence,
            "no reason below",
        ));
    }
    let right = choices.iter().filter(|choice| choice.is_right).count();
    let sentence = if question.trim().is_empty() {
        "a prediction begins with a question"
    } else if choices.len() < 2 {
        "a prediction has two choices at least"
    } else if right != 1 {
        "one choice is right, `- [x]`"
    } else {
        return Ok(());
    };
    Err(Mistake::new(
        head.kind.span.clone(),
        sentence,
        format!("{right} of {} are right", choices.len()),
    ))
}

/// The directive behind `reveal:`, carried out.
fn revealed(workshop: &Workshop<'_>, text: &str, start: usize) -> Result<String, Mistake> {
    let (first, body) = text.split_once('\n').unwrap_or((text, ""));
    let head_at = "reveal:".len();
    let mut head = Head::read(&first[head_at..], start + head_at)?;
    if head.kind.text == "predict" {
        let sentence = "a prediction does not reveal another";
        return Err(Mistake::new(head.kind.span.clone(), sentence, ""));
    }
    let body_start = start + first.len() + 1;
    let shown = show_kind(workshop, &mut head, body, body_start)?;
    head.finish()?;
    Ok(match &*head.kind.text {
        // It is Markdown, with code blocks for mdBook to colour.
        "example" => markdown(&shown),
        _ => shown,
    })
}
