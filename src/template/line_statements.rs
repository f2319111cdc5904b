//! Lines that are statements or end in comments, where a template's header asks for them.

use super::scan::{Delimiters, Kind, scan};

/// The text with such lines written as tags. Every line stays where it is.
pub fn with_line_statements(
    text: String,
    delimiters: &Delimiters,
    statement: Option<&str>,
    comment: Option<&str>,
) -> String {
    if statement.is_none() && comment.is_none() {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for segment in scan(&text, delimiters) {
        let part = &text[segment.outer.clone()];
        if segment.kind != Kind::Data {
            out.push_str(part);
            continue;
        }
        for line in part.split_inclusive('\n') {
            // The rest of a line behind a tag is no line of its own.
            let whole = out.is_empty() || out.ends_with('\n') || out.ends_with(LINE_END);
            out.push_str(&written(line, whole, delimiters, statement, comment));
        }
    }
    out
}

/// A line end inside of a tag, where it counts as a line and prints nothing.
const LINE_END: &str = "\n%}";

fn written(
    line: &str,
    whole: bool,
    delimiters: &Delimiters,
    statement: Option<&str>,
    comment: Option<&str>,
) -> String {
    let bare = line.trim_end_matches('\n');
    let end = &line[bare.len()..];
    let remark = comment.and_then(|mark| bare.split_once(mark));
    let code = remark.map_or(bare, |(code, _)| code);
    let tagged = statement.and_then(|mark| code.trim_start().strip_prefix(mark));
    if let Some(tagged) = tagged.filter(|_| whole) {
        let tagged = tagged.trim().trim_end_matches(':');
        let (open, close) = &delimiters.block;
        return format!("{open} {tagged} {end}{close}");
    }
    match remark {
        Some((code, _)) => format!("{}{end}", code.trim_end()),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_tags_and_stay_lines() {
        let text = "a\n% for x in y: ## all\n- {{ x }} ## one\n% endfor\nb % c\n";
        let written =
            with_line_statements(text.to_owned(), &Delimiters::default(), Some("%"), Some("##"));
        assert_eq!(written, "a\n{% for x in y \n%}- {{ x }}\n{% endfor \n%}b % c\n");
    }
}
