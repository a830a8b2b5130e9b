//! Makes a program smaller as long as what was found stays found (delta debugging, Zeller and Hildebrandt).

/// The smallest program that can be reached from `text` by leaving out lines, then tasks, flags and digits,
/// with `is_found` true all the way. A program that makes no sense any more is one in which nothing is found.
pub fn shrink(text: &str, is_found: &mut dyn FnMut(&str) -> bool) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    loop {
        let before = lines.clone();
        leave_out_lines(&mut lines, is_found);
        for place in 0..lines.len() {
            simplify(&mut lines, place, is_found);
        }
        if lines == before {
            return join(&lines);
        }
    }
}

fn join(lines: &[String]) -> String {
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

/// Leaves out pieces of half the program, then of a quarter, down to single lines.
fn leave_out_lines(lines: &mut Vec<String>, is_found: &mut dyn FnMut(&str) -> bool) {
    let mut piece = lines.len().div_ceil(2);
    while piece > 0 {
        let mut start = 0;
        let mut any = false;
        while start < lines.len() {
            let mut fewer = lines.clone();
            fewer.drain(start..(start + piece).min(lines.len()));
            if is_found(&join(&fewer)) {
                *lines = fewer;
                any = true;
            } else {
                start += piece;
            }
        }
        if !any || piece > 1 {
            piece /= 2;
        }
    }
}

/// Tries simpler lines in place of one, as long as there are any.
fn simplify(lines: &mut [String], place: usize, is_found: &mut dyn FnMut(&str) -> bool) {
    'again: loop {
        for simpler in simpler(&lines[place]) {
            let kept = std::mem::replace(&mut lines[place], simpler);
            if is_found(&join(lines)) {
                continue 'again;
            }
            lines[place] = kept;
        }
        return;
    }
}

/// Lines with a little less in them. Each is shorter, or has a smaller number, so that this comes to an end.
fn simpler(line: &str) -> Vec<String> {
    let mut all = Vec::new();
    if let Some((_, call)) = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
    {
        all.push(call.to_owned());
    }
    for (start, _) in line.match_indices('|') {
        let rest = &line[start + 1..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let end = end.unwrap_or(rest.len());
        all.push(format!("{}{}", &line[..start], &rest[end..]));
        let before = line[..start].rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let before = before.map_or(0, |at| at + 1);
        all.push(format!("{}{rest}", &line[..before]));
    }
    for (start, number) in numbers(line) {
        let end = start + number.len();
        let Ok(value) = number.parse::<u64>() else {
            continue;
        };
        for smaller in [0, 1, value / 2] {
            if smaller < value {
                all.push(format!("{}{smaller}{}", &line[..start], &line[end..]));
            }
        }
    }
    all
}

/// The numbers that stand by themselves, and are no part of a name or a string.
fn numbers(line: &str) -> Vec<(usize, &str)> {
    let mut all = Vec::new();
    let mut quoted = false;
    let mut before = ' ';
    let mut start = None;
    for (at, c) in line.char_indices().chain([(line.len(), ' ')]) {
        if c == '"' && before != '\\' {
            quoted = !quoted;
        }
        match start {
            None if c.is_ascii_digit()
                && !quoted
                && !before.is_ascii_alphanumeric()
                && before != '_' =>
            {
                start = Some(at);
            }
            Some(from) if !c.is_ascii_alphanumeric() => {
                all.push((from, &line[from..at]));
                start = None;
            }
            _ => {}
        }
        before = c;
    }
    all
}
