//! Ansible's default colours.

use console::Style;

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

/// Colours text, or leaves it when colour is off.
#[derive(Clone, Copy)]
pub struct Palette {
    pub enabled: bool,
}

impl Palette {
    pub fn paint(self, colour: Colour, text: &str) -> String {
        let style = Style::new().force_styling(true);
        let style = match colour {
            _ if !self.enabled => return text.to_owned(),
            Colour::Plain => return text.to_owned(),
            Colour::Ok | Colour::DiffAdd => style.green(),
            Colour::Changed => style.yellow(),
            Colour::Skipped | Colour::DiffLines => style.cyan(),
            Colour::Error | Colour::DiffRemove => style.red(),
            Colour::Unreachable => style.red().bright(),
            Colour::Warning => style.magenta().bright(),
            Colour::Debug => style.black().bright(),
        };
        style.apply_to(text).to_string()
    }
}
