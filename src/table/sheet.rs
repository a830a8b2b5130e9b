//! Tables that are filled, as text and as Markdown.

use std::fmt::Write;

use super::read::needs;
use super::{Entry, Kind, Operation, Question, Stage, Table};

/// The part of a table that is about one kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sheet {
    /// Which table.
    pub table: Table,
    /// The kind in words.
    pub title: String,
    /// In the order of the kind's text.
    rows: Vec<Row>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Row {
    stages: Vec<Stage>,
    /// The state in words, or why there is none.
    words: String,
    /// Nothing where there is no state.
    filled: Option<Filled>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Filled {
    operation: Option<String>,
    /// One for each column.
    cells: Vec<String>,
}

impl Sheet {
    /// Asks `fill` for the cells of each question, one for each of the [columns](Table::columns).
    pub fn new(table: Table, kind: &Kind, mut fill: impl FnMut(&Question) -> Vec<String>) -> Sheet {
        let mut rows = Vec::new();
        for entry in &kind.entries {
            let state = match entry {
                Entry::State(state) => state,
                Entry::Never { stages, reason } => {
                    if table == Table::Events {
                        rows.push(Row {
                            stages: stages.clone(),
                            words: reason.clone(),
                            filled: None,
                        });
                    }
                    continue;
                }
            };
            let mut push = |operation: Option<&Operation>, question: &Question| {
                rows.push(Row {
                    stages: vec![state.stage],
                    words: labelled(&state.title, &state.lines),
                    filled: Some(Filled {
                        operation: operation.map(|it| labelled(&it.title, &it.lines)),
                        cells: fill(question),
                    }),
                });
            };
            match table {
                Table::Events => push(None, &Question::of_state(kind, state)),
                Table::Edges => state.operations.iter().for_each(|operation| {
                    let question = Question::of_operation(kind, state, operation);
                    push(Some(operation), &question);
                }),
            }
        }
        Sheet {
            table,
            title: labelled(&kind.title, &kind.common),
            rows,
        }
    }

    /// Whether there is nothing to ask of the kind.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// As a table of Markdown, without a heading.
    pub fn markdown(&self) -> String {
        let named: &[&str] = match self.table {
            Table::Events => &["stage", "state"],
            Table::Edges => &["state", "operation"],
        };
        let mut text = String::new();
        let heads = named.iter().chain(self.table.columns());
        markdown_row(&mut text, heads.clone());
        markdown_row(&mut text, heads.map(|_| "---"));
        for Row {
            stages,
            words,
            filled,
        } in &self.rows
        {
            let stages = listed(stages);
            let mut cells = match filled {
                Some(Filled {
                    operation: None, ..
                }) => vec![stages, words.clone()],
                Some(Filled {
                    operation: Some(operation),
                    ..
                }) => vec![format!("{stages}: {words}"), operation.clone()],
                None => vec![stages, format!("*never: {words}*")],
            };
            match filled {
                Some(filled) => cells.extend(filled.cells.iter().map(|cell| coded(cell))),
                None => cells.extend(self.table.columns().iter().map(|_| String::new())),
            }
            markdown_row(&mut text, cells.iter());
        }
        text
    }
}

/// Sheets of one table below each other, with columns that align; `heading` may decorate the titles.
pub fn text(sheets: &[Sheet], heading: impl Fn(&str) -> String) -> String {
    let name = |row: &Row| match &row.filled {
        Some(Filled {
            operation: Some(operation),
            ..
        }) => format!("    {operation}"),
        _ => format!("  {:11}  {}", listed(&row.stages), row.words),
    };
    let filled = || {
        let rows = sheets.iter().flat_map(|sheet| &sheet.rows);
        rows.filter_map(|row| Some((row, row.filled.as_ref()?)))
    };
    let first = filled().map(|(row, _)| width(&name(row))).max();
    let columns = sheets
        .first()
        .map_or(&[][..], |sheet| sheet.table.columns());
    let mut widths = vec![first.unwrap_or(0)];
    widths.extend(columns.iter().enumerate().map(|(column, head)| {
        let cells = filled().filter_map(|(_, filled)| filled.cells.get(column));
        cells.map(|cell| width(cell)).fold(width(head), usize::max)
    }));

    let mut text = String::new();
    for sheet in sheets {
        if !text.is_empty() {
            text.push('\n');
        }
        // The title may hold escape codes, which have no width.
        let gap = " ".repeat(widths[0].saturating_sub(width(&sheet.title)));
        let heads = aligned(columns, &widths[1..]);
        let _ = writeln!(text, "{}{gap}  {heads}", heading(&sheet.title));
        let mut state = None;
        for row in &sheet.rows {
            let Some(Filled { operation, cells }) = &row.filled else {
                let _ = writeln!(
                    text,
                    "  {:11}  {}: {}",
                    "never",
                    listed(&row.stages),
                    row.words
                );
                continue;
            };
            let own = (&row.stages, &row.words);
            if operation.is_some() && state.replace(own) != Some(own) {
                let _ = writeln!(text, "  {}: {}", listed(&row.stages), row.words);
            }
            let mut line = vec![name(row)];
            line.extend(cells.iter().cloned());
            let _ = writeln!(text, "{}", aligned(&line, &widths));
        }
    }
    text
}

/// Words, and what it needs of a machine to come to what they say.
fn labelled(words: &str, lines: &[String]) -> String {
    match needs(lines).collect::<Vec<_>>().join(", ") {
        needs if needs.is_empty() => words.to_owned(),
        needs => format!("{words} (needs {needs})"),
    }
}

fn listed(stages: &[Stage]) -> String {
    let words: Vec<&str> = stages.iter().map(|stage| stage.word()).collect();
    words.join(", ")
}

fn aligned(cells: &[impl AsRef<str>], widths: &[usize]) -> String {
    let padded = cells.iter().zip(widths).map(|(cell, width)| {
        let cell = cell.as_ref();
        format!("{cell:width$}")
    });
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Bits as code. A cell that says more, or nothing, is prose.
fn coded(cell: &str) -> String {
    match cell {
        "-" => "—".to_owned(),
        bits if !bits.contains(' ') => format!("`{bits}`"),
        prose => prose.to_owned(),
    }
}

fn markdown_row(text: &mut String, cells: impl Iterator<Item = impl AsRef<str>>) {
    for cell in cells {
        let _ = write!(text, "| {} ", cell.as_ref().replace('|', "\\|"));
    }
    text.push_str("|\n");
}
