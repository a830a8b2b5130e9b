//! `exists (n1=1 /\ n2=0)` and its like.

use crate::scenario::ScenarioError;
use crate::scenario::ast::Name;
use crate::scenario::closing::{Claim, Closing, Quantifier, Result as Became};
use crate::scenario::cursor::Cursor;
use crate::scenario::header::Unseen;

use super::number::check_name;
use super::result::named_errno;
use super::structure::{Torn, read_event, read_list};

type Result<T> = std::result::Result<T, ScenarioError>;

/// More brackets and `~` than anybody needs, and few enough for everything that walks by recursion.
const DEEPEST: usize = 32;

/// Reads a closing line, if one stands here.
pub(in crate::scenario) fn read_closing(c: &mut Cursor<'_>) -> Result<Option<Closing>> {
    let start = c.at();
    let negated = c.eat("~");
    let quantifier = if c.eat_word("exists") {
        match negated {
            true => Quantifier::NotExists,
            false => Quantifier::Exists,
        }
    } else if !negated && c.eat_word("forall") {
        Quantifier::ForAll
    } else if negated {
        return Err(c.unexpected("`exists`"));
    } else {
        return Ok(None);
    };
    if !c.sees("(") {
        let expected = "what is claimed, in brackets";
        return if negated || !c.sees("=") {
            Err(c.unexpected(expected))
        } else {
            // A name that happens to be this word.
            c.rewind(start);
            Ok(None)
        };
    }
    let claim = read_claim(c)?;
    Ok(Some(Closing { quantifier, claim }))
}

fn read_claim(c: &mut Cursor<'_>) -> Result<Claim> {
    c.expect("(")?;
    let claim = read_or(c, 0)?;
    c.expect(")")?;
    Ok(claim)
}

/// Reads what follows `# unseen`.
pub(in crate::scenario) fn read_unseen(c: &mut Cursor<'_>) -> Result<Unseen> {
    c.skip_space();
    let start = c.at();
    let claim = read_claim(c)?;
    let span = c.since(start);
    c.expect(":")?;
    c.skip_space();
    if c.is_at_end() {
        return Err(c.unexpected("the reason"));
    }
    let closing = Closing {
        quantifier: Quantifier::Exists,
        claim,
    };
    let reason = c.until(&[]).trim().to_owned();
    Ok(Unseen {
        closing,
        span,
        reason,
    })
}

fn read_or(c: &mut Cursor<'_>, depth: usize) -> Result<Claim> {
    let mut claims = Vec::new();
    loop {
        match read_and(c, depth)? {
            Claim::Or(inner) => claims.extend(inner),
            claim => claims.push(claim),
        }
        if !c.eat("\\/") {
            return Ok(joined(claims, Claim::Or));
        }
    }
}

fn read_and(c: &mut Cursor<'_>, depth: usize) -> Result<Claim> {
    let mut claims = Vec::new();
    loop {
        match read_one(c, depth)? {
            Claim::And(inner) => claims.extend(inner),
            claim => claims.push(claim),
        }
        if !c.eat("/\\") {
            return Ok(joined(claims, Claim::And));
        }
    }
}

/// One alone needs no connective.
fn joined(mut claims: Vec<Claim>, join: fn(Vec<Claim>) -> Claim) -> Claim {
    if claims.len() == 1 {
        claims.remove(0)
    } else {
        join(claims)
    }
}

fn read_one(c: &mut Cursor<'_>, depth: usize) -> Result<Claim> {
    if depth > DEEPEST {
        let found = c.unexpected("something simpler").span();
        let message = format!("claims nest at most {DEEPEST} deep");
        return Err(ScenarioError::new(found, message, "one too many"));
    }
    if c.eat("~") {
        return Ok(Claim::Not(Box::new(read_one(c, depth + 1)?)));
    }
    if c.eat("(") {
        let claim = read_or(c, depth + 1)?;
        c.expect(")")?;
        return Ok(claim);
    }
    let name = read_name(c)?;
    if &*name.text == "asleep" && c.eat("(") {
        let name = read_name(c)?;
        c.expect(")")?;
        return Ok(Claim::Is(name, Became::Asleep));
    }
    c.expect("=")?;
    let became = read_became(c)?;
    Ok(Claim::Is(name, became))
}

fn read_name(c: &mut Cursor<'_>) -> Result<Name> {
    let Some((text, span)) = c.ident() else {
        return Err(c.unexpected("the name of a result"));
    };
    check_name(text, span)?;
    Ok(Name {
        text: text.into(),
        span,
    })
}

fn read_became(c: &mut Cursor<'_>) -> Result<Became> {
    c.skip_space();
    let start = c.at();
    let unordered = c.eat_word("unordered");
    if unordered || c.sees("[") {
        let events = read_list(c, |c| read_event(c, Torn::No))?;
        let span = c.since(start);
        return Ok(Became::Events {
            unordered,
            events,
            span,
        });
    }
    if let Some((number, span)) = c.number()? {
        return match i64::try_from(number) {
            Ok(number) if number >= 0 => Ok(Became::Value(number)),
            _ => {
                let message = "a call that succeeds returns no such number";
                Err(ScenarioError::new(span, message, "not returned")
                    .help("one that fails is asked for by its error: `n=EINTR`"))
            }
        };
    }
    match c.ident() {
        Some((word, span)) => named_errno(word, span).map(Became::Error),
        None => Err(c.unexpected("a number, an error or an array of events")),
    }
}
