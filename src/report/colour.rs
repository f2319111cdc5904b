//! Ansible's colours, and the settings that change them.

/// What a piece of output is about.
#[derive(Clone, Copy)]
pub enum Colour {
    Ok,
    Changed,
    Skipped,
    Included,
    Error,
    Unreachable,
    Warning,
    Debug,
    DiffAdd,
    DiffRemove,
    DiffLines,
    Plain,
}

/// The settings that name colours, in the order of [`Colour`].
const SETTINGS: [&str; 11] = [
    "COLOR_OK",
    "COLOR_CHANGED",
    "COLOR_SKIP",
    "COLOR_INCLUDED",
    "COLOR_ERROR",
    "COLOR_UNREACHABLE",
    "COLOR_WARN",
    "COLOR_DEBUG",
    "COLOR_DIFF_ADD",
    "COLOR_DIFF_REMOVE",
    "COLOR_DIFF_LINES",
];

/// Ansible's names, and the terminal's numbers for them.
const NAMES: [(&str, &str); 19] = [
    ("black", "0;30"),
    ("bright gray", "0;37"),
    ("blue", "0;34"),
    ("white", "1;37"),
    ("green", "0;32"),
    ("bright blue", "1;34"),
    ("cyan", "0;36"),
    ("bright green", "1;32"),
    ("red", "0;31"),
    ("bright cyan", "1;36"),
    ("purple", "0;35"),
    ("bright red", "1;31"),
    ("yellow", "0;33"),
    ("bright purple", "1;35"),
    ("dark gray", "1;30"),
    ("bright yellow", "1;33"),
    ("magenta", "0;35"),
    ("bright magenta", "1;35"),
    ("normal", "0"),
];

/// The terminal's numbers for what can be coloured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Colours([String; SETTINGS.len()]);

impl Colours {
    /// What the settings name: a colour by its name, or of a terminal with 256 of them
    /// `colorN` (0 to 255), `rgbRGB` (three digits from 0 to 5) or `grayN` (0 to 23).
    ///
    /// # Errors
    /// A name that is none of these.
    pub fn of(setting: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let mut codes: [String; SETTINGS.len()] = Default::default();
        for (code, name) in codes.iter_mut().zip(SETTINGS) {
            let colour = setting(name).unwrap_or_default();
            *code = code_of(&colour).ok_or_else(|| {
                let known = NAMES.map(|(name, _)| name).join(", ");
                format!(
                    "{name} is '{colour}', which is no colour: there are {known}, and color0 to \
                     color255, rgb000 to rgb555 and gray0 to gray23"
                )
            })?;
        }
        Ok(Self(codes))
    }
}

fn code_of(colour: &str) -> Option<String> {
    if let Some((_, code)) = NAMES.iter().find(|(name, _)| *name == colour) {
        return Some((*code).to_owned());
    }
    let number = |digits: &str, most: u8| digits.parse().ok().filter(|number| *number <= most);
    let number = if let Some(digits) = colour.strip_prefix("color") {
        number(digits, 255)?
    } else if let Some(digits) = colour.strip_prefix("gray") {
        232 + number(digits, 23)?
    } else if let [b'r', b'g', b'b', rgb @ ..] = colour.as_bytes() {
        let [red, green, blue]: [u8; 3] = rgb.try_into().ok()?;
        let part = |digit: u8| digit.checked_sub(b'0').filter(|part| *part <= 5);
        16 + 36 * part(red)? + 6 * part(green)? + part(blue)?
    } else {
        return None;
    };
    Some(format!("38;5;{number}"))
}

/// Colours text, or leaves it when there are no colours.
#[derive(Clone, Debug)]
pub struct Palette(pub Option<Colours>);

impl Palette {
    /// Each line is coloured for itself, so that a pager shows every one of them right.
    pub fn paint(&self, colour: Colour, text: &str) -> String {
        match self.0.as_ref().and_then(|colours| colours.0.get(colour as usize)) {
            Some(code) => {
                let lines: Vec<_> =
                    text.split('\n').map(|line| format!("\x1b[{code}m{line}\x1b[0m")).collect();
                lines.join("\n")
            }
            None => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All green but what the settings name.
    fn palette(settings: &[(&str, &str)]) -> Result<Palette, String> {
        let value = |name: &str| settings.iter().find(|(of, _)| *of == name);
        let setting = |name: &str| Some(value(name).map_or("green", |(_, it)| it).to_owned());
        Colours::of(setting).map(|colours| Palette(Some(colours)))
    }

    #[test]
    fn every_line_is_coloured() {
        let palette = palette(&[]).expect("colours");
        assert_eq!(palette.paint(Colour::Ok, "a\nb"), "\x1b[0;32ma\x1b[0m\n\x1b[0;32mb\x1b[0m");
        assert_eq!(palette.paint(Colour::Plain, "a"), "a");
    }

    #[test]
    fn nothing_is_coloured_when_there_are_no_colours() {
        assert_eq!(Palette(None).paint(Colour::Error, "a"), "a");
    }

    #[test]
    fn settings_name_colours_of_terminals_with_256_of_them() {
        for (name, code) in [
            ("bright red", "1;31"),
            ("color208", "38;5;208"),
            ("rgb125", "38;5;69"),
            ("rgb555", "38;5;231"),
            ("gray23", "38;5;255"),
        ] {
            let palette = palette(&[("COLOR_DIFF_LINES", name)]).expect("colours");
            let painted = palette.paint(Colour::DiffLines, "a");
            assert_eq!(painted, format!("\x1b[{code}ma\x1b[0m"), "{name}");
        }
    }

    #[test]
    fn what_is_no_colour_is_an_error() {
        for name in ["", "reddish", "color256", "gray24", "rgb666", "rgb12", "rgb1\u{e9}"] {
            let error = palette(&[("COLOR_WARN", name)]).expect_err("no colour");
            assert!(error.starts_with(&format!("COLOR_WARN is '{name}'")), "{error}");
        }
    }
}
