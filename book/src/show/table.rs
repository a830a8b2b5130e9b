//! `table`: what a kind of file reports in each of its states, or which operations are edges.
//!
//! ````text
//! ```lab table KIND [edges] [caption="..."]
//! ````

use std::collections::BTreeSet;

use epoll_lab::model::Variants;
use epoll_lab::table::{Question, Sheet, Table, kinds};

use super::{Workshop, no_body};
use crate::directive::{Head, Word};
use crate::html::{escape, inline_markdown, markdown};
use crate::mistake::Mistake;
use crate::subject::{Judged, Other, Subject};

pub(super) fn show(
    workshop: &Workshop<'_>,
    head: &mut Head,
    body: &str,
    start: usize,
) -> Result<String, Mistake> {
    no_body(head, body, start)?;
    let table = match head.flag("edges") {
        true => Table::Edges,
        false => Table::Events,
    };
    let caption = head.option("caption");
    let Some(name) = head.subject() else {
        let sentence = "which kind of file?";
        return Err(Mistake::new(
            head.kind.span.clone(),
            sentence,
            "say its name",
        ));
    };
    let kinds = kinds();
    let Some(kind) = kinds.iter().find(|kind| kind.name == name.text) else {
        let names: Vec<&str> = kinds.iter().map(|kind| &*kind.name).collect();
        let sentence = format!("there is no kind `{}`", name.text);
        let mistake = Mistake::new(name.span, sentence, "unknown");
        return Err(mistake.help(format!("known are {}", names.join(", "))));
    };
    let mut asked = Asked::default();
    let mut mistake = None;
    let sheet = Sheet::new(table, kind, |question| {
        asked
            .ask(workshop, question, &name)
            .unwrap_or_else(|error| {
                mistake.get_or_insert(error);
                Vec::new()
            })
    });
    if let Some(mistake) = mistake {
        return Err(mistake);
    }
    if sheet.is_empty() {
        let sentence = format!("of `{}` this table asks nothing", name.text);
        return Err(Mistake::new(name.span, sentence, "empty"));
    }
    let caption = caption.map(|caption| inline_markdown(&caption.text) + " ");
    Ok(format!(
        "<figure class=\"lab-table\" id=\"{}\">\n{}<figcaption>{}<span class=\"lab-provenance\">{}</span>\
         </figcaption>\n</figure>",
        workshop.id,
        markdown(&sheet.markdown()),
        caption.unwrap_or_default(),
        escape(&asked.provenance()),
    ))
}

/// Who was asked, row by row.
#[derive(Debug, Default)]
struct Asked {
    rows: usize,
    kernels: BTreeSet<String>,
    /// Why some rows were asked of the model only.
    skipped: BTreeSet<String>,
}

impl Asked {
    /// The cells of a row, on which both kernels agree.
    fn ask(
        &mut self,
        workshop: &Workshop<'_>,
        question: &Question,
        kind: &Word,
    ) -> Result<Vec<String>, Mistake> {
        self.rows += 1;
        let subject = Subject::asked(&question.name, &question.text, kind.span.clone())?;
        let Judged { model, other } = subject.judge(workshop, Variants::NONE)?;
        let cells = question.cells(&model);
        match &other {
            Other::Kernel(kernel) => {
                if question.cells(kernel) != cells {
                    return Err(subject.mistake_at(1, "the kernels do not agree", "in this row"));
                }
                self.kernels.insert(kernel.backend.clone());
            }
            Other::Skipped(reason) => {
                self.skipped.insert(reason.clone());
            }
            Other::Recorded(_) | Other::AsWritten => {
                self.skipped.insert("there was none".to_owned());
            }
        }
        match cells {
            Some(cells) => Ok(question.table().shown(&cells)),
            None => Err(subject.mistake_at(1, "this state is not reached", "in this row")),
        }
    }

    fn provenance(&self) -> String {
        let rows = self.rows;
        let kernels: Vec<&str> = self.kernels.iter().map(|it| &**it).collect();
        let skipped: Vec<&str> = self.skipped.iter().map(|it| &**it).collect();
        match (kernels.is_empty(), skipped.is_empty()) {
            (false, true) => format!(
                "{rows} scenarios, run on the model and on {} when this page was built: both gave these answers.",
                kernels.join(" and ")
            ),
            (false, false) => format!(
                "{rows} scenarios, run on the model when this page was built, and on {} but for some ({}): where \
                 both were asked, both gave these answers.",
                kernels.join(" and "),
                skipped.join("; ")
            ),
            (true, _) => format!(
                "{rows} scenarios, run on the model when this page was built; not on Linux: {}.",
                skipped.join("; ")
            ),
        }
    }
}
