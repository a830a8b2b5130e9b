//! `exercise`: what is to be done, what to begin with, and how to have it checked.
//!
//! ````text
//! ```lab exercise NAME
//! ````

use std::fs;

use epoll_lab::exercise::Exercise;

use super::{Workshop, no_body};
use crate::directive::Head;
use crate::html::{escape, markdown};
use crate::mistake::Mistake;

pub(super) fn show(
    workshop: &Workshop<'_>,
    head: &mut Head,
    body: &str,
    start: usize,
) -> Result<String, Mistake> {
    no_body(head, body, start)?;
    let Some(name) = head.subject() else {
        let sentence = "which exercise?";
        return Err(Mistake::new(
            head.kind.span.clone(),
            sentence,
            "say its name",
        ));
    };
    let folder = workshop.project.join("examples/exercises").join(&name.text);
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        if let Ok(text) = fs::read_to_string(entry.path()) {
            files.push((entry.file_name().to_string_lossy().into_owned(), text));
        }
    }
    if files.is_empty() {
        let sentence = format!("there is no exercise `{}`", name.text);
        return Err(Mistake::new(
            name.span,
            sentence,
            "not in examples/exercises",
        ));
    }
    let exercise = Exercise::new(&name.text, &files)
        .map_err(|error| Mistake::new(name.span, error.to_string(), ""))?;
    let name = escape(&exercise.name);
    Ok(format!(
        "<section class=\"lab-exercise\" id=\"{}\" data-exercise=\"{name}\">\n\
         <p class=\"lab-title\">Exercise: {}</p>\n{}\
         <p>An answer begins with these lines:</p>\n\
         <pre class=\"lab-plain\">{}</pre>\n\
         <pre class=\"lab-plain\">cargo run -- exercise {name} --start &gt; my.strace&#10;\
         cargo run -- exercise {name} my.strace</pre>\n\
         <p>The second command runs your answer and what must hold behind it on both kernels, and says what is \
         still wrong.</p>\n\
         <details>\n<summary>A solution</summary>\n<pre class=\"lab-plain\">{}</pre>\n</details>\n</section>",
        workshop.id,
        escape(&exercise.title),
        markdown(&exercise.task),
        escape(exercise.start.trim_end()),
        escape(exercise.solution.trim_end()),
    ))
}
