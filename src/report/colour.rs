//! Ansible's default colours.

/// What a piece of output is about.
#[derive(Clone, Copy)]
pub enum Colour {
    Ok,
    Changed,
    Skipped,
    Error,
    Unreachable,
    Warning,
    Debug,
    DiffAdd,
    DiffRemove,
    DiffLines,
    Plain,
}

impl Colour {
    /// The terminal's number for it.
    fn code(self) -> Option<&'static str> {
        Some(match self {
            Self::Ok | Self::DiffAdd => "0;32",
            Self::Changed => "0;33",
            Self::Skipped | Self::DiffLines => "0;36",
            Self::Error | Self::DiffRemove => "0;31",
            Self::Unreachable => "1;31",
            Self::Warning => "1;35",
            Self::Debug => "1;30",
            Self::Plain => return None,
        })
    }
}

/// Colours text, or leaves it when colour is off.
#[derive(Clone, Copy)]
pub struct Palette {
    pub enabled: bool,
}

impl Palette {
    /// Each line is coloured for itself, so that a pager shows every one of them right.
    pub fn paint(self, colour: Colour, text: &str) -> String {
        match colour.code() {
            Some(code) if self.enabled => {
                let lines: Vec<_> =
                    text.split('\n').map(|line| format!("\x1b[{code}m{line}\x1b[0m")).collect();
                lines.join("\n")
            }
            _ => text.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_coloured() {
        let palette = Palette { enabled: true };
        assert_eq!(palette.paint(Colour::Ok, "a\nb"), "\x1b[0;32ma\x1b[0m\n\x1b[0;32mb\x1b[0m");
    }

    #[test]
    fn nothing_is_coloured_when_colour_is_off() {
        assert_eq!(Palette { enabled: false }.paint(Colour::Error, "a"), "a");
    }
}
