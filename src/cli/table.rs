//! `epoll-lab table`: what every kind of file reports, and which operations are edges.

use indexmap::IndexMap;

use super::check::progress_bar;
use super::input::Source;
use super::judge::{Judged, Keep, On, judge};
use super::report::show_difference;
use super::terminal::{BOLD, complain, outln, print, styled};
use super::variants::Wrong;
use super::{Unusable, Verdict, json};
use crate::scenario::{Run, Scenario};
use crate::table::{Kind, Question, Sheet, Table, kinds, text};

/// Show which bits each kind of file reports in each of its states.
///
/// Every row is a scenario that is run now, on both kernels. The events are those of an epoll that asks for every
/// bit; EPOLLERR and EPOLLHUP come unasked. "Bands" are the bits that repeat EPOLLIN and EPOLLOUT for data with and
/// without priority.
///
/// With --edges, operation by operation: what two edge-triggered watchers hear of it, one of EPOLLIN and one of
/// EPOLLOUT, that have taken all that was reported before.
///
/// The last line is always `N rows: A agree, D differ, S skipped`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    epoll-lab table\n  \
    epoll-lab table pipe --edges\n  \
    epoll-lab table --markdown > events.md\n  \
    epoll-lab table --show pipe-read-end/data/one-byte\n  \
    epoll-lab table --edges --show eventfd/fresh/counter-0/write | epoll-lab run --trace -\n  \
    epoll-lab table --edges eventfd --on model --state-diff-edges")]
pub(super) struct Arguments {
    /// Only kinds whose name or title contains this
    kind: Option<String>,
    /// What is an edge, instead of what is reported
    #[arg(long)]
    edges: bool,
    /// Which kernels to ask
    #[arg(long, value_enum, default_value_t = On::Both)]
    on: On,
    /// As tables of Markdown
    #[arg(long)]
    markdown: bool,
    /// As JSON: a list of rows
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print the scenario behind a row instead: its name in --json, or a part of it that no other has
    #[arg(long, value_name = "ROW", conflicts_with_all = ["kind", "markdown", "json"])]
    show: Option<String>,
    #[command(flatten)]
    wrong: Wrong,
}

/// A row, and what the kernels said to it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) kind: String,
    pub(super) question: Question,
    scenario: Scenario,
    pub(super) judged: Judged,
}

impl Asked {
    fn new(kind: &Kind, question: Question, arguments: &Arguments) -> Result<Asked, Unusable> {
        let source = source(kind, &question);
        let scenario = source.parse()?;
        let judged = judge(
            &scenario,
            arguments.on,
            arguments.wrong.variants,
            Keep::default(),
        )
        .map_err(|error| {
            complain(format_args!("{}: {error}", source.path));
            Unusable
        })?;
        Ok(Asked {
            kind: kind.title.clone(),
            question,
            scenario,
            judged,
        })
    }

    pub(super) fn agrees(&self) -> bool {
        self.judged.agrees(&self.scenario)
    }

    /// What stands in each column: what all say who were asked, or each under its name.
    fn columns(&self) -> Vec<String> {
        let columns = self.question.table().columns().len();
        let told: Vec<(&Run, Vec<String>)> = self
            .judged
            .runs()
            .map(|run| (run, self.shown(run)))
            .collect();
        let Some((_, first)) = told.first() else {
            let reason = self.judged.skipped.clone().unwrap_or_default();
            let mut columns = vec![String::new(); columns];
            columns[0] = format!("skipped: {reason}");
            return columns;
        };
        if told.iter().all(|(_, cells)| cells == first) {
            return first.clone();
        }
        let column = |column: usize| {
            let sides = told
                .iter()
                .map(|(run, cells)| format!("{} ({})", cells[column], run.backend));
            sides.collect::<Vec<_>>().join(", ")
        };
        (0..columns).map(column).collect()
    }

    fn shown(&self, run: &Run) -> Vec<String> {
        match self.question.cells(run) {
            Some(cells) => self.question.table().shown(&cells),
            None => vec!["(it went another way)".to_owned(); self.question.table().columns().len()],
        }
    }
}

pub(super) fn table(arguments: &Arguments) -> Result<Verdict, Unusable> {
    arguments.wrong.check(arguments.on)?;
    let table = if arguments.edges {
        Table::Edges
    } else {
        Table::Events
    };
    if let Some(name) = &arguments.show {
        return show(name, table);
    }
    let kinds = chosen(arguments.kind.as_deref())?;
    let rows = kinds.iter().map(|kind| kind.questions(table).len()).sum();
    let progress = progress_bar(rows);
    let mut all = Vec::new();
    for kind in &kinds {
        progress.set_message(kind.title.clone());
        for question in kind.questions(table) {
            all.push(Asked::new(kind, question, arguments)?);
            progress.inc(1);
        }
    }
    progress.finish_and_clear();

    if arguments.json {
        outln!("{}", json::table(&all));
    } else {
        let mut answers = all.iter();
        let sheets: Vec<Sheet> = kinds
            .iter()
            .map(|kind| {
                Sheet::new(table, kind, |_| {
                    answers.next().map(Asked::columns).unwrap_or_default()
                })
            })
            .filter(|sheet| !sheet.is_empty())
            .collect();
        if arguments.markdown {
            let parts = sheets
                .iter()
                .map(|sheet| format!("### {}\n\n{}", sheet.title, sheet.markdown()));
            print(format_args!("{}", parts.collect::<Vec<_>>().join("\n")));
        } else {
            print(format_args!(
                "{}",
                text(&sheets, |title| styled(BOLD, title))
            ));
            show_end(&all);
        }
    }
    let agree = all.iter().all(Asked::agrees);
    Ok(if agree {
        Verdict::Agree
    } else {
        Verdict::Differ
    })
}

/// Where rows differ, in what; what was not asked, and why; and how many rows there are.
fn show_end(all: &[Asked]) {
    for asked in all.iter().filter(|asked| !asked.agrees()) {
        outln!("");
        let Asked {
            question,
            scenario,
            judged,
            ..
        } = asked;
        show_difference(&question.name, &question.text, scenario, judged);
    }
    let mut reasons: IndexMap<&str, usize> = IndexMap::new();
    for reason in all.iter().filter_map(|asked| asked.judged.skipped.as_ref()) {
        *reasons.entry(reason).or_default() += 1;
    }
    outln!("");
    for (reason, rows) in reasons {
        outln!("skipped {rows}: {reason}");
    }
    let differ = all.iter().filter(|asked| !asked.agrees()).count();
    let is_skipped = |asked: &&Asked| asked.agrees() && asked.judged.skipped.is_some();
    let skipped = all.iter().filter(is_skipped).count();
    let agree = all.len() - differ - skipped;
    outln!(
        "{} rows: {agree} agree, {differ} differ, {skipped} skipped",
        all.len()
    );
}

fn chosen(word: Option<&str>) -> Result<Vec<Kind>, Unusable> {
    let mut chosen = kinds();
    let Some(word) = word else {
        return Ok(chosen);
    };
    let all: Vec<String> = chosen.iter().map(|kind| kind.name.clone()).collect();
    let lower = word.to_lowercase();
    chosen.retain(|kind| {
        let texts = [&kind.name, &kind.title];
        texts
            .iter()
            .any(|text| text.to_lowercase().contains(&lower))
    });
    if chosen.is_empty() {
        complain(format_args!(
            "there is no kind `{word}`; there are {}",
            all.join(", ")
        ));
        return Err(Unusable);
    }
    Ok(chosen)
}

/// Prints the scenario of one row.
fn show(name: &str, table: Table) -> Result<Verdict, Unusable> {
    let kinds = kinds();
    let mut questions: Vec<Question> = kinds
        .iter()
        .flat_map(|kind| kind.questions(table))
        .filter(|question| question.name.contains(&name.to_lowercase()))
        .collect();
    if let Some(exact) = questions.iter().position(|question| question.name == name) {
        questions = vec![questions.swap_remove(exact)];
    }
    match &questions[..] {
        [question] => {
            print(format_args!("{}", question.text));
            Ok(Verdict::Agree)
        }
        [] => {
            complain(format_args!(
                "no row has `{name}` in its name; --json tells the names"
            ));
            Err(Unusable)
        }
        several => {
            let names: Vec<&str> = several.iter().map(|question| &*question.name).collect();
            complain(format_args!(
                "several rows have `{name}` in their names:\n  {}",
                names.join("\n  ")
            ));
            Err(Unusable)
        }
    }
}

fn source(kind: &Kind, question: &Question) -> Source {
    Source {
        path: question.name.clone(),
        topic: kind.name.clone(),
        text: question.text.clone(),
    }
}
