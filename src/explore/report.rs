//! An exploration in text.

use std::fmt::{self, Display};

use super::{Answered, Claimed, Exploration, Figures, Outcome};

/// How much the table of outcomes tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Table {
    /// Outcomes and answers, as snapshots keep them.
    Outcomes,
    /// And a schedule for each outcome.
    Schedules,
}

impl Exploration<'_> {
    /// The outcomes: first the lines that went the same in all of them, then each with its others. Then
    /// the closing lines with their answers.
    pub fn table(&self, table: Table) -> String {
        let mut text = String::new();
        let texts: Vec<Vec<String>> = self.outcomes.iter().map(|it| self.texts(it)).collect();
        let calls = texts.first().map_or(0, Vec::len);
        let same = |call: &usize| texts.iter().all(|other| other[*call] == texts[0][*call]);
        let (always, open): (Vec<usize>, Vec<usize>) = (0..calls).partition(same);
        if !always.is_empty() {
            text.push_str("in every outcome\n");
            for call in always {
                text.push_str(&format!("    {}\n", texts[0][call]));
            }
        }
        for (place, (outcome, lines)) in self.outcomes.iter().zip(&texts).enumerate() {
            if open.is_empty() && table == Table::Outcomes {
                break;
            }
            text.push_str(&format!("outcome {}", place + 1));
            if table == Table::Schedules {
                text.push_str(&format!("    # {}", outcome.schedule));
            }
            text.push('\n');
            for call in &open {
                text.push_str(&format!("    {}\n", lines[*call]));
            }
        }
        for claimed in &self.closing {
            text.push_str(&format!("{claimed}\n"));
        }
        text
    }

    /// Every call of an outcome, as it went.
    pub fn texts(&self, outcome: &Outcome) -> Vec<String> {
        let fates = outcome.fates.iter().enumerate();
        fates
            .map(|(call, fate)| self.prepared.text(call, fate))
            .collect()
    }

    /// The last line: how much was done.
    pub fn summary(&self) -> String {
        let Figures { states, steps, .. } = self.figures;
        let bound = if self.bound_reached {
            " (bound reached)"
        } else {
            ""
        };
        format!(
            "explored: {states} states, {steps} steps, {} outcomes, {} steps/s{bound}",
            self.outcomes.len(),
            self.figures.rate()
        )
    }
}

impl Display for Claimed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.holds { "Ok" } else { "No" };
        write!(
            f,
            "{}    {verdict}: {}, {} of {}",
            self.closing, self.answer, self.so, self.of
        )
    }
}

impl Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Answered::Always => "Always",
            Answered::Sometimes => "Sometimes",
            Answered::Never => "Never",
        })
    }
}
