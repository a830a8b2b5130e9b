//! The terminal: keys in, pages out. It is left as it was found, whatever happens.

use std::io::{self, Write, stdout};
use std::panic;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, read};
use crossterm::style::Print;
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{execute, queue};

use super::draw::{Look, page};
use crate::cli::terminal::{FAINT, styled};
use crate::figure::Reel;

/// The keys, in the width of a small terminal.
const KEYS: &str = "←/→ step  p/n call  g line  Home/End  ↑/↓ scroll  z fold  ? help  q quit";

/// The part of it that tells whether there is more to see.
const SCROLL: &str = "↑/↓ scroll";

const HELP: &str = "\
→  l  Space  Enter     one step forward
←  h  Backspace        one step back
n  Tab                 the first step of the next call
p  Shift-Tab           the first step of this call, or of the one before
g  then a number       the first step of the line with this number
Home  0                before the first step
End   $                the last step
↓  j   ↑  k            scroll the picture
PageDown  PageUp       the same by half a screen
z                      show all, or leave out what the step did not touch
?                      this help
q  Esc  Ctrl-C         quit

Marks in front of a row:
*  changed by this step   (was: how it was before)
+  new
-  gone
…  something is left out here, since the screen is too small; z shows it

In a tree ● is a black node and ○ a red one. A list runs from its first to its
last; the overflow list begins with the newest, and a wait queue stands in the
order in which a wake-up walks it.";

/// Shows pages until the user has seen enough.
pub(super) fn turn_pages(reel: &Reel<'_>, first: usize, colour: bool) -> io::Result<()> {
    let _screen = Screen::enter()?;
    let mut reader = Reader {
        reel,
        colour,
        number: first,
        scroll: None,
        unfolded: false,
        mode: Mode::Reading,
    };
    loop {
        reader.draw()?;
        // Whatever else happens, a new size above all, draws anew.
        if let Event::Key(key) = read()?
            && key.kind != KeyEventKind::Release
            && reader.press(key) == Wish::Quit
        {
            return Ok(());
        }
    }
}

/// The terminal while it is ours.
struct Screen;

impl Screen {
    fn enter() -> io::Result<Screen> {
        enable_raw_mode()?;
        // From here on the end of this value cleans up, also after a mistake in what follows.
        let screen = Screen;
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // What is said on the other screen would vanish with it.
            leave();
            report(info);
        }));
        execute!(stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

/// Gives the terminal back. Nothing can be done if that fails.
fn leave() {
    let _ = execute!(stdout(), Show, LeaveAlternateScreen);
    let _ = disable_raw_mode();
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Mode {
    Reading,
    Help,
    /// The digits of a line so far.
    Line(String),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wish {
    Stay,
    Quit,
}

struct Reader<'r> {
    reel: &'r Reel<'r>,
    colour: bool,
    number: usize,
    scroll: Option<usize>,
    unfolded: bool,
    mode: Mode,
}

impl Reader<'_> {
    fn press(&mut self, key: KeyEvent) -> Wish {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Wish::Quit,
                _ => Wish::Stay,
            };
        }
        match std::mem::replace(&mut self.mode, Mode::Reading) {
            // Any key leaves the help.
            Mode::Help => {}
            Mode::Line(digits) => self.digit(key.code, digits),
            Mode::Reading => return self.command(key.code),
        }
        Wish::Stay
    }

    fn command(&mut self, code: KeyCode) -> Wish {
        let reel = self.reel;
        match code {
            KeyCode::Char('q') | KeyCode::Esc => return Wish::Quit,
            KeyCode::Right | KeyCode::Enter | KeyCode::Char('l' | ' ') => self.go(self.number + 1),
            KeyCode::Left | KeyCode::Backspace | KeyCode::Char('h') => {
                self.go(self.number.saturating_sub(1));
            }
            KeyCode::Tab | KeyCode::Char('n') => self.go(reel.next_call(self.number)),
            KeyCode::BackTab | KeyCode::Char('p') => self.go(reel.previous_call(self.number)),
            KeyCode::Home | KeyCode::Char('0') => self.go(0),
            KeyCode::End | KeyCode::Char('$') => self.go(reel.last()),
            KeyCode::Char('g') => self.mode = Mode::Line(String::new()),
            KeyCode::Char('?') => self.mode = Mode::Help,
            KeyCode::Char('z') => {
                self.unfolded = !self.unfolded;
                self.scroll = None;
            }
            KeyCode::Down | KeyCode::Char('j') => self.scroll_by(1),
            KeyCode::Up | KeyCode::Char('k') => self.scroll_by(-1),
            KeyCode::PageDown => self.scroll_by(10),
            KeyCode::PageUp => self.scroll_by(-10),
            _ => {}
        }
        Wish::Stay
    }

    fn digit(&mut self, code: KeyCode, mut digits: String) {
        match code {
            KeyCode::Char(digit) if digit.is_ascii_digit() => digits.push(digit),
            KeyCode::Backspace => drop(digits.pop()),
            KeyCode::Enter => {
                if let Ok(line) = digits.parse() {
                    self.go(self.reel.page_of_line(line));
                }
                return;
            }
            KeyCode::Esc => return,
            _ => {}
        }
        self.mode = Mode::Line(digits);
    }

    fn go(&mut self, number: usize) {
        self.number = number.min(self.reel.last());
        self.scroll = None;
    }

    fn scroll_by(&mut self, rows: isize) {
        let (width, height) = dimensions();
        let page = page(self.reel, self.number, &self.look(width, height));
        let row = page.first_row.saturating_add_signed(rows);
        self.scroll = Some(row.min(page.last_first_row));
    }

    /// The last line belongs to the keys.
    fn look(&self, width: usize, height: usize) -> Look {
        Look {
            width,
            height: Some(height.saturating_sub(1)),
            colour: self.colour,
            unfolded: self.unfolded,
            scroll: self.scroll,
        }
    }

    fn draw(&self) -> io::Result<()> {
        let (width, height) = dimensions();
        let mut out = stdout().lock();
        queue!(out, BeginSynchronizedUpdate, MoveTo(0, 0))?;
        let (lines, keys) = match &self.mode {
            Mode::Help => (
                HELP.lines().map(str::to_owned).collect(),
                "any key goes back".to_owned(),
            ),
            mode => {
                let page = page(self.reel, self.number, &self.look(width, height));
                let keys = match mode {
                    Mode::Line(digits) => format!("go to line: {digits}_"),
                    _ if page.first_row < page.last_first_row => KEYS.replace(SCROLL, "↓ more!"),
                    _ if page.first_row > 0 => KEYS.replace(SCROLL, "↑ more!"),
                    _ => KEYS.to_owned(),
                };
                (page.lines, keys)
            }
        };
        let above = height.saturating_sub(1);
        let blank = std::iter::repeat(String::new());
        for (y, line) in (0..).zip(lines.into_iter().chain(blank).take(above)) {
            queue!(
                out,
                MoveTo(0, y),
                Print(line),
                Clear(ClearType::UntilNewLine)
            )?;
        }
        let keys: String = keys.chars().take(width).collect();
        let keys = if self.colour {
            styled(FAINT, keys)
        } else {
            keys
        };
        let bottom = u16::try_from(above).unwrap_or(u16::MAX);
        queue!(
            out,
            MoveTo(0, bottom),
            Print(keys),
            Clear(ClearType::UntilNewLine)
        )?;
        queue!(out, EndSynchronizedUpdate)?;
        out.flush()
    }
}

/// Columns and lines.
fn dimensions() -> (usize, usize) {
    let (width, height) = size().unwrap_or((80, 24));
    (usize::from(width), usize::from(height))
}
