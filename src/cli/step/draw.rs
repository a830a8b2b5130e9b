//! A page as lines of text: pure, so that it can be tested without a terminal.
//!
//! ```text
//! an-edge-wakes-one            step 12 of 57   call 5 of 9    where we are
//! 8  [A] epoll_wait(ep, ..., 8, -1 <unfinished ...>           the line at hand
//! ──────────────────────────────────────────────────────
//! task 1 [A], ep_poll: Look: looks at the ready list ...      the step: what and why
//! ──────────────────────────────────────────────────────
//! * task 1 [A]: ep_poll: Idle          was ep_poll: Look      everything after it, with marks
//!   epoll 3 (ep), mtx free
//! ```

use anstyle::{AnsiColor, Style};

use super::super::terminal::{BAD, BOLD, FAINT};
use super::fold::{Shown, fitted, unfolded};
use super::picture::{Mark, picture};
use crate::figure::{Names, Reel, Shot, Told};

/// How a page is to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) width: usize,
    /// The lines that there are; none where a page may be as long as it likes.
    pub(super) height: Option<usize>,
    pub(super) colour: bool,
    /// Leave nothing out.
    pub(super) unfolded: bool,
    /// The first row of the picture; none for the one that shows what has changed.
    pub(super) scroll: Option<usize>,
}

/// A page, and where in it the picture begins.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) lines: Vec<String>,
    /// The first row of the picture that is shown.
    pub(super) first_row: usize,
    /// How far it can be scrolled.
    pub(super) last_first_row: usize,
}

/// How many lines the text above the picture may take where the height is limited.
const MOST_WRITTEN: usize = 3;
const MOST_TOLD: usize = 6;

/// Below this height the picture needs every line.
const LOW: usize = 18;

/// From this height on there is room for the lines before and after the one at hand.
const TALL: usize = 32;

/// The page with this number.
pub(super) fn page(reel: &Reel<'_>, number: usize, look: &Look) -> Page {
    let shot = reel.shot(number);
    let names = Names::of(shot.map(|shot| shot.scene));
    let mut lines = Lines {
        look,
        lines: Vec::new(),
    };
    lines.styled(BOLD, &title(reel, number, shot, look.width));
    match shot {
        Some(shot) => {
            lines.written(reel, shot);
            lines.rule();
            lines.told(shot, &names);
        }
        None => lines.introduction(reel),
    }
    if number == reel.last() {
        lines.ending(reel);
    }
    lines.rule();

    let before = reel.state(number.saturating_sub(1));
    let now = reel.state(number);
    let blocks = picture(&now, &before, &names, &reel.calls(number));
    let room = look
        .height
        .map(|height| height.saturating_sub(lines.lines.len()));
    let rows = match room {
        Some(room) if !look.unfolded => fitted(&blocks, room),
        _ => unfolded(&blocks),
    };
    let room = room.unwrap_or(rows.len());
    let last_first_row = rows.len().saturating_sub(room);
    let touched = rows.iter().position(|row| row.mark != Mark::Same);
    let first_row = look.scroll.unwrap_or_else(|| around(&rows, touched, room));
    let first_row = first_row.min(last_first_row);
    for row in rows.iter().skip(first_row).take(room) {
        lines.row(row);
    }
    Page {
        lines: lines.lines,
        first_row,
        last_first_row,
    }
}

/// Where to begin so that the changed row is seen, together with the heading that it stands under.
fn around(rows: &[Shown], touched: Option<usize>, room: usize) -> usize {
    match touched {
        Some(touched) if touched >= room => {
            let heading = rows[..=touched].iter().rposition(|row| row.is_heading);
            let heading = heading.unwrap_or(touched);
            if touched - heading < room {
                heading
            } else {
                touched
            }
        }
        _ => 0,
    }
}

fn title(reel: &Reel<'_>, number: usize, shot: Option<Shot<'_>>, width: usize) -> String {
    let call = shot.map_or(0, |shot| shot.number);
    let scene = match reel.take.schedule {
        Some(_) => "turn",
        None => "call",
    };
    let place = format!(
        "step {number} of {}   {scene} {call} of {}",
        reel.last(),
        reel.scenes()
    );
    let room = width.saturating_sub(place.chars().count() + 2);
    let name = cut(&reel.name, room);
    format!("{name:room$}  {place}")
}

struct Lines<'l> {
    look: &'l Look,
    lines: Vec<String>,
}

impl Lines<'_> {
    /// One line, cut to the width.
    fn styled(&mut self, style: Style, text: &str) {
        let text = cut(text, self.look.width);
        self.lines.push(if self.look.colour {
            format!("{style}{text}{style:#}")
        } else {
            text
        });
    }

    fn rule(&mut self) {
        self.styled(FAINT, &"─".repeat(self.look.width));
    }

    /// Text in as many lines as it takes, or as it may.
    fn wrapped(&mut self, style: Style, margin: &str, text: &str, most: usize) {
        let most = if self.look.height < Some(LOW) {
            1
        } else {
            most
        };
        let mut lines = wrap(text, self.look.width.saturating_sub(margin.chars().count()));
        if self.look.height.is_some() && lines.len() > most {
            lines.truncate(most);
            if let Some(last) = lines.last_mut() {
                *last = cut(
                    &format!("{last} …"),
                    self.look.width - margin.chars().count(),
                );
            }
        }
        let blank = " ".repeat(margin.chars().count());
        for (index, line) in lines.iter().enumerate() {
            let margin = if index == 0 { margin } else { &blank };
            self.styled(style, &format!("{margin}{line}"));
        }
    }

    /// The line of the scenario.
    fn written(&mut self, reel: &Reel<'_>, shot: Shot<'_>) {
        let scene = shot.scene;
        let mut text = reel.text(scene);
        if !scene.rounds.is_empty() {
            let rounds: Vec<String> = scene.rounds.iter().map(u64::to_string).collect();
            text.push_str(&format!("   (round {})", rounds.join(".")));
        }
        let margin = format!("line {}  ", scene.line);
        let around = if self.look.height >= Some(TALL) { 3 } else { 0 };
        for number in scene.line.saturating_sub(around).max(1)..scene.line {
            self.context(reel, number);
        }
        self.wrapped(Style::new(), &margin, &text, MOST_WRITTEN);
        for number in scene.line + 1..=scene.line + around {
            self.context(reel, number);
        }
        if let Some(message) = reel.contradicted(scene) {
            self.wrapped(BAD, "! ", message, MOST_WRITTEN);
        }
    }

    /// A line of the file near the one at hand.
    fn context(&mut self, reel: &Reel<'_>, number: usize) {
        let text = reel.text.get(number - 1).copied().unwrap_or_default();
        self.styled(FAINT, &format!("     {number}  {text}"));
    }

    /// What the step did, and why.
    fn told(&mut self, shot: Shot<'_>, names: &Names<'_>) {
        let Told {
            head,
            about,
            details: told,
        } = Told::of(shot, names);
        let text = if about.is_empty() {
            head
        } else {
            format!("{head}: {about}")
        };
        self.wrapped(BOLD, "", &text, MOST_WRITTEN);
        let most = match self.look.height {
            Some(_) if told.len() > MOST_TOLD => MOST_TOLD - 1,
            _ => told.len(),
        };
        for text in &told[..most] {
            self.wrapped(Style::new(), "  - ", text, MOST_WRITTEN);
        }
        if most < told.len() {
            self.styled(FAINT, &format!("  - … and {} more", told.len() - most));
        }
    }

    /// What the scenario says about itself.
    fn introduction(&mut self, reel: &Reel<'_>) {
        let header = reel.take.scenario.header();
        for law in &header.laws {
            let text = format!("law {}: {}", law.id, law.sentence);
            self.wrapped(BOLD, "", &text, MOST_WRITTEN);
        }
        for confusion in &header.confusions {
            self.wrapped(Style::new(), "", &confusion.sentence, MOST_WRITTEN);
        }
        for text in &header.prose {
            self.wrapped(FAINT, "", text, MOST_WRITTEN);
        }
        self.styled(FAINT, "Nothing has happened yet.");
    }

    /// Why this is the end.
    fn ending(&mut self, reel: &Reel<'_>) {
        match reel.stopped() {
            Some(reason) => self.wrapped(BAD, "! the run ends here: ", &reason, MOST_WRITTEN),
            None => self.styled(FAINT, "This was the last step."),
        }
    }

    fn row(&mut self, row: &Shown) {
        let (mark, style) = match row.mark {
            Mark::Same if row.is_heading => (' ', BOLD),
            Mark::Same => (' ', Style::new()),
            Mark::Changed => ('*', AnsiColor::Yellow.on_default()),
            Mark::New => ('+', AnsiColor::Green.on_default()),
            Mark::Gone => ('-', AnsiColor::Red.on_default()),
        };
        let mut text = format!("{mark} {}", row.text);
        if !row.was.is_empty() {
            text.push_str(&format!("   (was {})", row.was));
        }
        self.styled(style, &text);
    }
}

/// A text in lines of this width, broken between words where that is possible.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(8);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_inclusive([' ', '|']) {
        let length = word.trim_end().chars().count();
        if used > 0 && used + length > width {
            lines.push(String::new());
            used = 0;
        }
        for char in word.chars() {
            if used >= width && char != ' ' {
                lines.push(String::new());
                used = 0;
            }
            used += 1;
            if let Some(line) = lines.last_mut() {
                line.push(char);
            }
        }
    }
    for line in &mut lines {
        line.truncate(line.trim_end().len());
    }
    lines
}

/// A text cut to this width.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut text: String = text.chars().take(width.saturating_sub(1)).collect();
    text.push('…');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Take;
    use crate::model::Variants;
    use crate::scenario::{Scenario, library};

    fn look(width: usize, height: usize) -> Look {
        Look {
            width,
            height: Some(height),
            colour: false,
            unfolded: false,
            scroll: None,
        }
    }

    /// Some pages of every scenario that is no marathon.
    fn some_pages(mut show: impl FnMut(&Reel<'_>, usize)) {
        for entry in library() {
            let scenario = Scenario::parse(entry.text).expect("it is well-formed");
            let take = Take {
                scenario: &scenario,
                variants: Variants::default(),
                schedule: None,
            };
            let run = take
                .film(0..0)
                .expect("it runs")
                .expect("without a schedule");
            let reel = Reel::new(entry.name, entry.text, &take, &run);
            if reel.last() < 300 {
                for number in (0..=reel.last()).step_by(5) {
                    show(&reel, number);
                }
            }
        }
    }

    #[test]
    fn a_page_fits_on_the_screen_and_shows_what_has_changed() {
        let is_marked =
            |line: &String| ["* ", "+ ", "- "].iter().any(|mark| line.starts_with(mark));
        some_pages(|reel, number| {
            for (width, height) in [(80, 23), (46, 14), (120, 39)] {
                let page = page(reel, number, &look(width, height));
                let text = page.lines.join("\n");
                assert!(page.lines.len() <= height, "{width}x{height}:\n{text}");
                assert!(
                    page.lines.iter().all(|line| line.chars().count() <= width),
                    "{width}x{height}:\n{text}"
                );
                let all = Look {
                    height: None,
                    ..look(width, height)
                };
                let changed = super::page(reel, number, &all).lines.iter().any(is_marked);
                assert_eq!(changed, page.lines.iter().any(is_marked), "{text}");
            }
        });
    }

    /// Whoever scrolls down line by line has read all of it.
    #[test]
    fn a_folded_page_unfolds_and_scrolls_to_its_end() {
        some_pages(|reel, number| {
            let small = Look {
                unfolded: true,
                scroll: Some(usize::MAX),
                ..look(80, 16)
            };
            let tall = Look {
                height: None,
                ..small
            };
            let end = page(reel, number, &small);
            assert_eq!(end.first_row, end.last_first_row);
            assert_eq!(end.lines.last(), page(reel, number, &tall).lines.last());
        });
    }

    #[test]
    fn text_is_broken_between_words() {
        assert_eq!(wrap("one two three", 8), ["one two", "three"]);
        assert_eq!(wrap("EPOLLIN|EPOLLOUT", 10), ["EPOLLIN|", "EPOLLOUT"]);
        assert_eq!(wrap("abcdefghijkl", 10), ["abcdefghij", "kl"]);
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("abcd", 4), "abcd");
    }
}
