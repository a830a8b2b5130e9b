//! `epoll-lab laws`: what the scenarios claim.

use std::path::PathBuf;

use super::input::Source;
use super::json;
use super::terminal::{BOLD, FAINT, outln, styled};
use super::{Unusable, Verdict};

/// List the laws of epoll, each with the scenarios that show it.
///
/// Those that no scenario shows come last, each with the reason.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    epoll-lab laws\n  \
    epoll-lab laws oneshot\n  \
    epoll-lab laws --json | jq '.[] | select(.id == \"37\")'")]
pub(super) struct Arguments {
    /// Only those whose id is, or whose sentence or scenario contains this
    word: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Read these files or folders instead of the built-in scenarios
    #[arg(long, value_name = "PATH")]
    from: Vec<PathBuf>,
}

/// Laws that no scenario tells, and why not.
pub const UNTOLD: &[(u32, &str)] = &[
    (
        31,
        "an event array shows the returned entries only; that the kernel leaves the others alone is \
         checked by its backend after every call",
    ),
    (
        149,
        "needs io_submit(2), whose completion counts an eventfd up from inside the kernel: contexts and control \
         blocks for this one law",
    ),
];

/// A law as one scenario tells it.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) id: String,
    pub(super) sentence: String,
    pub(super) scenario: String,
}

pub(super) fn laws(arguments: &Arguments) -> Result<Verdict, Unusable> {
    let mut told = Vec::new();
    for source in sources(&arguments.from)? {
        let scenario = source.parse()?;
        let header = scenario.header();
        let laws = header.laws.iter().map(|law| (&law.id, &law.sentence));
        let confusions = header.confusions.iter().map(|it| (&it.slug, &it.sentence));
        told.extend(laws.chain(confusions).map(|(id, sentence)| Told {
            id: id.clone(),
            sentence: sentence.clone(),
            scenario: source.path.clone(),
        }));
    }
    if let Some(word) = &arguments.word {
        let word = word.to_lowercase();
        told.retain(|told| {
            let texts = [&told.sentence, &told.scenario];
            told.id == word || texts.iter().any(|text| text.to_lowercase().contains(&word))
        });
    }
    told.sort_by_key(|told| (place(&told.id), told.scenario.clone()));
    let untold = untold(arguments);
    if arguments.json {
        outln!("{}", json::laws(&told, &untold));
        return Ok(Verdict::Agree);
    }
    for Told {
        id,
        sentence,
        scenario,
    } in &told
    {
        outln!("{} {sentence}", styled(BOLD, format_args!("{id:>5}")));
        outln!("      {}", styled(FAINT, scenario));
    }
    if !untold.is_empty() {
        outln!("not told:");
    }
    for (id, reason) in untold {
        outln!("{} {reason}", styled(BOLD, format_args!("{id:>5}")));
    }
    Ok(Verdict::Agree)
}

/// Numbers in their order, then those with a letter in front in theirs, then words.
fn place(id: &str) -> (u32, u32, String) {
    let digits = id.strip_prefix(|c: char| c.is_ascii_lowercase());
    match (id.parse(), digits.map(str::parse)) {
        (Ok(number), _) => (0, number, String::new()),
        (_, Some(Ok(number))) => (1, number, id.to_owned()),
        _ => (2, 0, id.to_owned()),
    }
}

/// Those that were asked for and that the program's own scenarios leave out.
fn untold(arguments: &Arguments) -> Vec<(u32, &'static str)> {
    if !arguments.from.is_empty() {
        return Vec::new();
    }
    let is_asked_for = |(id, reason): &&(u32, &str)| {
        arguments.word.as_ref().is_none_or(|word| {
            id.to_string() == *word || reason.to_lowercase().contains(&word.to_lowercase())
        })
    };
    UNTOLD.iter().filter(is_asked_for).copied().collect()
}

/// The files that are named, or the built-in ones.
pub(super) fn sources(paths: &[PathBuf]) -> Result<Vec<Source>, Unusable> {
    if paths.is_empty() {
        return Ok(Source::built_in());
    }
    let mut sources = Vec::new();
    for path in paths {
        sources.extend(Source::read_all(path)?);
    }
    Ok(sources)
}
