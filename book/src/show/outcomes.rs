//! `outcomes`: everything that may come of a scenario's tasks, and what races on Linux showed of it.
//!
//! ````text
//! ```lab outcomes [NAME] [caption="..."]
//! ````

use epoll_lab::backend::{Backend, LabError};
use epoll_lab::cli::needs;
use epoll_lab::explore::{Exploration, Explorer, Observed};
use epoll_lab::scenario::ScenarioError;

use super::Workshop;
use crate::directive::Head;
use crate::html::{escape, inline_markdown};
use crate::mistake::Mistake;
use crate::subject::Subject;

/// So many races for a page: enough to see more than one outcome, mostly.
const RACES: u64 = 200;

/// A scenario with more states is for the explorer itself.
const MOST_STATES: usize = 1_000_000;

pub(super) fn show(
    workshop: &Workshop<'_>,
    head: &mut Head,
    body: &str,
    start: usize,
) -> Result<String, Mistake> {
    let caption = head.option("caption");
    let subject = Subject::of(workshop, head, body, start)?;
    let stopped = |error: ScenarioError| {
        let line = error.span().position(&subject.text).line;
        subject.mistake_at(line, error.message(), error.label())
    };
    let explorer = Explorer::new().max_states(MOST_STATES);
    let exploration = explorer.explore(&subject.scenario).map_err(stopped)?;
    if let Some(problem) = exploration.problems.first() {
        let span = problem.span.unwrap_or_default();
        let line = span.position(&subject.text).line;
        let mut mistake = subject.mistake_at(line, &problem.message, "is not so");
        mistake.help.extend(problem.details.iter().cloned());
        return Err(mistake);
    }
    if exploration.bound_reached {
        return Err(subject.mistake_at(1, "it has too many states for a page", ""));
    }
    let raced = race(workshop, &subject, &exploration).map_err(stopped)?;
    if let Raced::Done(observed) = &raced
        && let Some(outside) = observed.outside.first()
    {
        let sentence = format!(
            "{} showed an outcome that the model does not have",
            observed.kernel
        );
        let mut mistake = subject.mistake_at(1, &sentence, "");
        mistake.help.extend(outside.texts.iter().cloned());
        return Err(mistake);
    }
    let mut html = format!("<figure class=\"lab-outcomes\" id=\"{}\">\n", workshop.id);
    html.push_str(&table(&exploration));
    html.push_str("<figcaption>");
    if let Some(caption) = caption {
        html.push_str(&inline_markdown(&caption.text));
        html.push(' ');
    }
    let figures = exploration.figures;
    html.push_str(&format!(
        "<span class=\"lab-provenance\">{}All interleavings, explored on the model when this page was built: {} \
         states, {} steps. {}</span></figcaption>\n</figure>",
        subject.name.as_deref().map(|name| format!("<code>{}</code>. ", escape(name))).unwrap_or_default(),
        figures.states,
        figures.steps,
        escape(&raced.sentence()),
    ));
    Ok(html)
}

/// What real threads showed.
enum Raced {
    Done(Observed),
    Not(String),
}

impl Raced {
    fn sentence(&self) -> String {
        match self {
            Raced::Done(observed) => format!(
                "Real threads raced {} times on {}: each outcome that they showed is among these.",
                observed.races, observed.kernel
            ),
            Raced::Not(reason) => format!("No threads raced on Linux there: {reason}."),
        }
    }
}

fn race(
    workshop: &Workshop<'_>,
    subject: &Subject,
    exploration: &Exploration<'_>,
) -> Result<Raced, ScenarioError> {
    if workshop.recorded {
        return Ok(Raced::Not("the machine has none".to_owned()));
    }
    if let Some(reason) = needs::unmet_by_kernel(subject.scenario.header()) {
        return Ok(Raced::Not(reason));
    }
    let soak = subject.scenario.soak(0..RACES, &mut fresh, &mut |_| true)?;
    let observed = exploration.hold(&soak, &subject.scenario.header().unseen)?;
    Ok(Raced::Done(observed))
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn fresh() -> Result<Box<dyn Backend>, LabError> {
    Ok(Box::new(epoll_lab::kernel::Linux::new()?))
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn fresh() -> Result<Box<dyn Backend>, LabError> {
    unreachable!("needs say that there is no such kernel here")
}

/// What is the same in all outcomes first, then each outcome with the rest, then the closing lines.
fn table(exploration: &Exploration<'_>) -> String {
    let outcomes = exploration.outcomes.iter();
    let texts: Vec<Vec<String>> = outcomes.map(|it| exploration.texts(it)).collect();
    let calls = texts.first().map_or(0, Vec::len);
    let is_same = |call: &usize| texts.iter().all(|other| other[*call] == texts[0][*call]);
    let (always, open): (Vec<usize>, Vec<usize>) = (0..calls).partition(is_same);
    let mut html = "<table>\n<tbody>\n".to_owned();
    let mut row = |title: &str, lines: &mut dyn Iterator<Item = &String>| {
        let lines: Vec<String> = lines
            .map(|line| format!("<div>{}</div>", escape(line)))
            .collect();
        if !lines.is_empty() {
            html.push_str(&format!(
                "<tr><th scope=\"row\">{title}</th><td class=\"lab-call\">{}</td></tr>\n",
                lines.concat()
            ));
        }
    };
    row("always", &mut always.iter().map(|call| &texts[0][*call]));
    for (place, lines) in texts.iter().enumerate() {
        let mut own = open.iter().map(|call| &lines[*call]);
        row(&format!("outcome {}", place + 1), &mut own);
    }
    for claimed in &exploration.closing {
        row("asked", &mut std::iter::once(&claimed.to_string()));
    }
    html.push_str("</tbody>\n</table>\n");
    html
}
