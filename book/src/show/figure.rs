//! `figure`: a run to step through. `state`: one picture of the inside.
//!
//! ````text
//! ```lab figure [NAME] [lines=A..B] [parts=epolls,files,tasks] [schedule="main*4 A*7"] [caption="..."]
//! ```lab state [NAME] line=N [parts=...] [caption="..."]
//! ````

use epoll_lab::explore::Schedule;
use epoll_lab::figure::{Figure, FigureError, Options, Parts};

use super::Workshop;
use crate::directive::Head;
use crate::html::without_empty_lines;
use crate::mistake::Mistake;
use crate::subject::{Subject, lines, variants};

pub(super) fn show(
    workshop: &Workshop<'_>,
    head: &mut Head,
    body: &str,
    start: usize,
) -> Result<String, Mistake> {
    let lines = lines(head)?;
    let figure = draw(workshop, head, body, start, lines)?;
    Ok(without_empty_lines(&figure.fragment()))
}

pub(super) fn show_state(
    workshop: &Workshop<'_>,
    head: &mut Head,
    body: &str,
    start: usize,
) -> Result<String, Mistake> {
    let Some(line) = head.option("line") else {
        let sentence = "a state is that after a line";
        return Err(Mistake::new(
            head.kind.span.clone(),
            sentence,
            "say `line=N`",
        ));
    };
    let number: usize = line.text.parse().unwrap_or(0);
    let figure = draw(workshop, head, body, start, None)?;
    let lines = figure.run().outcomes.iter();
    if !lines.map(|outcome| outcome.line).any(|done| done == number) {
        let sentence = format!("nothing happens in line {}", line.text);
        return Err(Mistake::new(line.span, sentence, "no such line"));
    }
    let still = figure.still(figure.step_after_line(number));
    Ok(without_empty_lines(&still))
}

fn draw(
    workshop: &Workshop<'_>,
    head: &mut Head,
    body: &str,
    start: usize,
    lines: Option<std::ops::RangeInclusive<usize>>,
) -> Result<Figure, Mistake> {
    let parts = parts(head)?;
    let variants = variants(head)?;
    let schedule = head.option("schedule");
    let caption = head.option("caption").map(|word| word.text);
    let subject = Subject::of(workshop, head, body, start)?;
    // A picture of something that is not so would be worse than none. What a schedule leads to is one of
    // many, and `outcomes` compares those.
    if schedule.is_none() {
        subject.judge(workshop, variants)?;
    }
    let name = subject.name.as_deref().unwrap_or(&workshop.id);
    let options = Options {
        lines,
        parts,
        caption,
        id: Some(workshop.id.clone()),
        variants,
        schedule: schedule.map(|word| Schedule::new(&word.text)),
    };
    Figure::new(name, &subject.text, &subject.scenario, options).map_err(|error| match &error {
        FigureError::Scenario(inner) => {
            let line = inner.span().position(&subject.text).line;
            subject.mistake_at(line, inner.message(), inner.label())
        }
        _ => Mistake::new(head.kind.span.clone(), error.to_string(), "cannot be drawn"),
    })
}

fn parts(head: &mut Head) -> Result<Parts, Mistake> {
    let Some(word) = head.option("parts") else {
        return Ok(Parts::default());
    };
    let mut parts = Parts::empty();
    for part in word.text.split(',') {
        parts |= match part {
            "epolls" => Parts::EPOLLS,
            "files" => Parts::FILES,
            "tasks" => Parts::TASKS,
            _ => {
                let sentence = format!("there is no part `{part}`");
                let mistake = Mistake::new(word.span, sentence, "unknown");
                return Err(mistake.help("known are epolls, files and tasks"));
            }
        };
    }
    Ok(parts)
}
