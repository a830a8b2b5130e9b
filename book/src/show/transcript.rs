//! `transcript`: what a scenario's calls returned, line by line, from the model and from Linux.
//!
//! ````text
//! ```lab transcript [NAME] [lines=A..B] [trace] [wrong=MISTAKE] [caption="..."]
//! ````
//!
//! `trace` shows what happened inside the model during each call. With `wrong` the model makes a mistake, and
//! its answers must differ.

use epoll_lab::scenario::{Diff, Mark, View};

use super::Workshop;
use crate::directive::Head;
use crate::html::{escape, inline_markdown};
use crate::mistake::Mistake;
use crate::subject::{Judged, Other, Subject, lines, variants};

pub(super) fn show(
    workshop: &Workshop<'_>,
    head: &mut Head,
    body: &str,
    start: usize,
) -> Result<String, Mistake> {
    let variants = variants(head)?;
    let lines = lines(head)?;
    let trace = head.flag("trace");
    let caption = head.option("caption");
    let subject = Subject::of(workshop, head, body, start)?;
    let judged = subject.judge(workshop, variants)?;
    let rows = rows(&subject, &judged);
    let mut html = format!(
        "<figure class=\"lab-transcript\" id=\"{}\">\n<table>\n<thead><tr><th scope=\"col\" \
         class=\"lab-no\"><span class=\"lab-hidden\">line</span></th><th scope=\"col\" class=\"lab-who\">{}</th>\
         <th scope=\"col\" class=\"lab-who\">{}</th><th scope=\"col\">call and answer</th></tr></thead>\n<tbody>\n",
        workshop.id,
        // The name of a wrong model is that of its option: `model --fifo-waiters`.
        escape(&judged.model.backend).replace(" --", "<br>"),
        escape(&column(&judged.other)),
    );
    let wanted = |line: usize| lines.as_ref().is_none_or(|lines| lines.contains(&line));
    let mut last_line = None;
    for row in rows.iter().filter(|row| wanted(row.line)) {
        if trace && last_line.is_some_and(|last| last != row.line) {
            html.push_str(&inside(&judged, last_line));
        }
        html.push_str(&row.html());
        last_line = Some(row.line);
    }
    if trace {
        html.push_str(&inside(&judged, last_line));
    }
    if last_line.is_none() {
        let span = head.kind.span.clone();
        return Err(Mistake::new(
            span,
            "no line of the scenario is shown",
            "nothing here",
        ));
    }
    html.push_str("</tbody>\n</table>\n<figcaption>");
    if let Some(caption) = caption {
        html.push_str(&inline_markdown(&caption.text));
        html.push(' ');
    }
    html.push_str(&format!(
        "<span class=\"lab-provenance\">{}{}</span></figcaption>\n</figure>",
        subject.name.as_deref().map(named).unwrap_or_default(),
        escape(&judged.provenance()),
    ));
    Ok(html)
}

fn named(name: &str) -> String {
    format!("<code>{}</code>. ", escape(name))
}

/// What the column of the other kernel is called.
fn column(other: &Other) -> String {
    match other {
        Other::Kernel(run) => run.backend.clone(),
        Other::Recorded(Some(_)) => "Linux, recorded".to_owned(),
        Other::Recorded(None) | Other::AsWritten => "as written".to_owned(),
        Other::Skipped(_) => "Linux, not run".to_owned(),
    }
}

/// A row of the table.
struct Row {
    line: usize,
    text: String,
    kind: RowKind,
}

enum RowKind {
    Comment,
    /// Which of the two gave this answer.
    Answer {
        model: bool,
        other: Answered,
    },
}

/// Whether the other kernel gave an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answered {
    So,
    Otherwise,
    NotAsked,
}

impl Row {
    fn html(&self) -> String {
        let RowKind::Answer { model, other } = self.kind else {
            return format!(
                "<tr class=\"lab-comment\"><td class=\"lab-no\"></td><td></td><td></td><td>{}</td></tr>\n",
                escape(&self.text)
            );
        };
        let mark = |answered: Answered| match answered {
            Answered::So => "<td class=\"lab-so\">✓</td>",
            Answered::Otherwise => {
                "<td class=\"lab-otherwise\"><span class=\"lab-hidden\">otherwise</span></td>"
            }
            Answered::NotAsked => "<td class=\"lab-otherwise\">–</td>",
        };
        let model = if model {
            Answered::So
        } else {
            Answered::Otherwise
        };
        let differs = model != other && other != Answered::NotAsked;
        let class = if differs {
            " class=\"lab-differs\""
        } else {
            ""
        };
        format!(
            "<tr{class}><td class=\"lab-no\">{}</td>{}{}<td class=\"lab-call\">{}</td></tr>\n",
            self.line,
            mark(model),
            mark(other),
            call(&self.text)
        )
    }
}

/// A line with what the kernel answered set off.
fn call(text: &str) -> String {
    match text.rfind(") = ") {
        Some(at) => {
            let (call, answer) = text.split_at(at + ") ".len());
            format!("{}<b>{}</b>", escape(call), escape(answer))
        }
        None => escape(text),
    }
}

/// The lines that did something, and between them the comments of the text.
fn rows(subject: &Subject, judged: &Judged) -> Vec<Row> {
    let answers = match &judged.other {
        Other::Kernel(kernel) => compared(&Diff::new(&subject.scenario, &judged.model, kernel)),
        Other::Recorded(Some(_)) => alone(subject, judged, Answered::So),
        Other::Recorded(None) | Other::AsWritten => alone(subject, judged, Answered::So),
        Other::Skipped(_) => alone(subject, judged, Answered::NotAsked),
    };
    let mut comments = subject.text.lines().enumerate().skip_while(|(_, text)| {
        // The header speaks about the file as a whole.
        text.starts_with('#') || text.trim().is_empty()
    });
    let mut rows: Vec<Row> = Vec::new();
    let mut next = comments.next();
    for answer in answers {
        while let Some((number, text)) = next.filter(|(number, _)| number + 1 < answer.line) {
            if text.trim_start().starts_with('#') {
                rows.push(Row {
                    line: number + 1,
                    text: text.to_owned(),
                    kind: RowKind::Comment,
                });
            }
            next = comments.next();
        }
        rows.push(answer);
    }
    rows
}

fn compared(diff: &Diff) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut push = |line, text: &Option<String>, model, other| {
        if let Some(text) = text {
            rows.push(Row {
                line,
                text: text.clone(),
                kind: RowKind::Answer { model, other },
            });
        }
    };
    for row in &diff.rows {
        if row.mark == Mark::Same {
            push(row.line, &row.left, true, Answered::So);
        } else {
            push(row.line, &row.left, true, Answered::Otherwise);
            push(row.line, &row.right, false, Answered::So);
        }
    }
    rows
}

/// The model's answers. There is no Linux to ask, so where a wrong model fails, what is written stands beside it.
fn alone(subject: &Subject, judged: &Judged, other: Answered) -> Vec<Row> {
    let passages = judged.model.passages(&subject.scenario, View::Comparable);
    let mut rows = Vec::new();
    for passage in passages {
        let mut failures = judged.model.failures.iter();
        let failure = failures.find(|failure| failure.line == passage.line);
        let other_answered = match failure {
            Some(_) => Answered::Otherwise,
            None => other,
        };
        let mut push = |text, model, other| {
            rows.push(Row {
                line: passage.line,
                text,
                kind: RowKind::Answer { model, other },
            });
        };
        for text in passage.lines {
            push(text, true, other_answered);
        }
        if let Some(failure) = failure {
            push(failure.expected.clone(), false, other);
        }
    }
    rows
}

/// What went on inside the model while a line was carried out.
fn inside(judged: &Judged, line: Option<usize>) -> String {
    let outcome = line.and_then(|line| judged.model.outcome(line));
    let steps = outcome.map_or(&[][..], |outcome| &outcome.trace);
    if steps.is_empty() {
        return String::new();
    }
    let steps: Vec<String> = steps
        .iter()
        .map(|step| format!("<li>{}</li>", escape(&step.to_string())))
        .collect();
    format!(
        "<tr class=\"lab-inside\"><td class=\"lab-no\"></td><td></td><td></td><td><ul>{}</ul></td></tr>\n",
        steps.concat()
    )
}
