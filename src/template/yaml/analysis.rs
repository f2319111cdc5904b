//! In which ways a text may be written in YAML.

/// Whether YAML 1.1 would read a plain text as a date.
pub fn is_timestamp(text: &str) -> bool {
    let digits = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let date_end = text.find(['T', 't', ' ', '\t']).unwrap_or(text.len());
    let date: Vec<&str> = text[..date_end].split('-').collect();
    let [year, month, day] = date.as_slice() else { return false };
    if date_end == text.len() {
        return digits(year, 4..=4) && digits(month, 2..=2) && digits(day, 2..=2);
    }
    let time = text[date_end + 1..].trim_start();
    let clock: Vec<&str> = time.splitn(3, ':').collect();
    digits(year, 4..=4)
        && digits(month, 1..=2)
        && digits(day, 1..=2)
        && matches!(clock.as_slice(), [hour, minute, second]
            if digits(hour, 1..=2) && digits(minute, 2..=2) && second.get(..2).is_some_and(|s| digits(s, 2..=2)))
}

/// Whether a character may stand in a text as it is: libyaml, which writes for PyYAML, escapes
/// those beyond U+FFFF.
pub fn is_printable(character: char) -> bool {
    matches!(character,
        '\u{20}'..='\u{7e}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        && character != '\u{feff}'
}

/// In which ways a text may be written, as PyYAML's emitter finds out.
pub struct Analysis {
    pub plain_in_block: bool,
    pub plain_in_flow: bool,
    pub single_quoted: bool,
}

impl Analysis {
    pub fn of(text: &str) -> Self {
        if text.is_empty() {
            return Self { plain_in_block: false, plain_in_flow: false, single_quoted: true };
        }
        let (mut block, mut flow) = (true, true);
        if text.starts_with("---") || text.starts_with("...") {
            (block, flow) = (false, false);
        }
        let characters: Vec<char> = text.chars().collect();
        let is_space = |character: Option<&char>| {
            matches!(
                character,
                None | Some(' ' | '\t' | '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}' | '\0')
            )
        };
        let (mut breaks, mut special, mut space_break) = (false, false, false);
        for (index, character) in characters.iter().enumerate() {
            let before = index.checked_sub(1).and_then(|index| characters.get(index));
            let after = characters.get(index + 1);
            let space_follows = is_space(after);
            if index == 0 {
                match character {
                    '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\''
                    | '"' | '%' | '@' | '`' => {
                        (block, flow) = (false, false);
                    }
                    '?' | ':' => {
                        flow = false;
                        block &= !space_follows;
                    }
                    '-' if space_follows => (block, flow) = (false, false),
                    _ => {}
                }
            } else {
                match character {
                    ',' | '?' | '[' | ']' | '{' | '}' => flow = false,
                    ':' => {
                        flow = false;
                        block &= !space_follows;
                    }
                    '#' if is_space(before) => (block, flow) = (false, false),
                    _ => {}
                }
            }
            match character {
                '\n' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                    breaks = true;
                    space_break |= before == Some(&' ');
                }
                c if !is_printable(*c) => special = true,
                _ => {}
            }
        }
        let edge = |character: Option<&char>| matches!(character, Some(' ' | '\n'));
        if edge(characters.first()) || edge(characters.last()) || breaks || special {
            (block, flow) = (false, false);
        }
        Self { plain_in_block: block, plain_in_flow: flow, single_quoted: !special && !space_break }
    }
}
