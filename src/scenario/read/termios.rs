//! The settings of a terminal.

use crate::abi::Termios;
use crate::abi::termios::CONTROL_CHARACTERS;
use crate::scenario::ScenarioError;
use crate::scenario::cursor::Cursor;
use crate::scenario::lower::low_u32;

use super::number::expect_field;

type Result<T> = std::result::Result<T, ScenarioError>;

/// `{c_iflag=.., c_oflag=.., c_cflag=.., c_lflag=.., ...}`, with or without `c_line` and `c_cc`. What is left
/// out of the control characters is as on a new terminal.
pub(super) fn read_termios(c: &mut Cursor<'_>) -> Result<Termios> {
    c.expect("{")?;
    let mut modes = [0; 4];
    for (mode, field) in modes
        .iter_mut()
        .zip(["c_iflag", "c_oflag", "c_cflag", "c_lflag"])
    {
        expect_field(c, field)?;
        *mode = read_modes(c, field)?;
        c.expect(",")?;
    }
    let [c_iflag, c_oflag, c_cflag, c_lflag] = modes;
    let mut termios = Termios {
        c_iflag,
        c_oflag,
        c_cflag,
        c_lflag,
        ..Termios::SANE
    };
    if c.eat_word("c_line") {
        c.expect("=")?;
        c.expect("N_TTY")?;
        c.expect(",")?;
    }
    if c.eat_word("c_cc") {
        c.expect("=")?;
        read_control_characters(c, &mut termios)?;
        if c.eat("}") {
            return Ok(termios);
        }
        c.expect(",")?;
    }
    c.expect("...")?;
    c.expect("}")?;
    Ok(termios)
}

/// `ICRNL|IXON`; strace prints nothing where no bit is set, also behind a `|`.
fn read_modes(c: &mut Cursor<'_>, field: &str) -> Result<u32> {
    let mut bits = 0;
    while !c.sees(",") {
        if let Some((number, _)) = c.number()? {
            bits |= low_u32(number);
        } else {
            let Some((word, span)) = c.ident() else {
                return Err(c.unexpected(&format!("a word of `{field}`")));
            };
            bits |= Termios::bits(field, word).ok_or_else(|| {
                let known = Termios::words(field).unwrap_or_default();
                let message = format!("`{word}` is no word of `{field}`");
                ScenarioError::new(span, message, "unknown constant")
                    .meant(word, known.iter().map(|(_, word)| *word))
            })?;
        }
        if !c.eat("|") {
            break;
        }
    }
    Ok(bits)
}

/// `[[VTIME]=0, [VMIN]=5, ...]`
fn read_control_characters(c: &mut Cursor<'_>, termios: &mut Termios) -> Result<()> {
    c.expect("[")?;
    while !c.eat("]") {
        if c.eat("...") {
            return c.expect("]");
        }
        c.skip_space();
        let start = c.at();
        c.expect("[")?;
        let name = match c.number()? {
            Some((number, _)) => number.to_string(),
            None => match c.ident() {
                Some((name, _)) => name.to_owned(),
                None => return Err(c.unexpected("the name of a control character")),
            },
        };
        c.expect("]")?;
        c.expect("=")?;
        let value = c
            .number()?
            .and_then(|(number, _)| u8::try_from(number).ok());
        let Some(value) = value else {
            return Err(c.unexpected("a number of one byte"));
        };
        match name.as_str() {
            "VMIN" => termios.vmin = value,
            "VTIME" => termios.vtime = value,
            _ if CONTROL_CHARACTERS.contains(&(name.as_str(), value)) => {}
            _ => {
                let message = format!("the lab cannot make {value} the control character `{name}`");
                return Err(ScenarioError::new(c.since(start), message, "not this one")
                    .help("VMIN and VTIME can be chosen; the others are those of a new terminal"));
            }
        }
        c.eat(",");
    }
    Ok(())
}
