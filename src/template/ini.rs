//! INI files as Python's `configparser` reads them.

use indexmap::IndexMap;

use super::TemplateError;

type Entries = IndexMap<String, Option<String>>;

/// A file's sections. `DEFAULT` stands apart: its entries are in every section.
#[derive(Debug, Default)]
pub struct Ini {
    pub sections: IndexMap<String, Entries>,
    pub defaults: Entries,
}

impl Ini {
    /// Reads a file. Names are in small letters unless case matters.
    pub fn read(
        text: &str,
        case_sensitive: bool,
        allow_no_value: bool,
    ) -> Result<Self, TemplateError> {
        let mut reader = Reader {
            ini: Self::default(),
            section: None,
            key: None,
            case_sensitive,
            allow_no_value,
        };
        for (index, line) in text.lines().enumerate() {
            reader
                .line(line)
                .map_err(|reason| TemplateError::new(format!("{reason} (line {})", index + 1)))?;
        }
        Ok(reader.ini.trimmed())
    }

    fn trimmed(mut self) -> Self {
        let entries = self.sections.values_mut().chain([&mut self.defaults]);
        for value in entries.flat_map(|entries| entries.values_mut()).flatten() {
            value.truncate(value.trim_end().len());
        }
        self
    }

    /// All entries that a section has, its own and the defaults.
    pub fn entries(&self, section: &str) -> Option<Vec<(String, Option<String>)>> {
        let own = match section {
            "DEFAULT" => &self.defaults,
            _ => self.sections.get(section)?,
        };
        let mut all = self.defaults.clone();
        all.extend(own.clone());
        Some(all.into_iter().collect())
    }

    /// The value with `%(name)s` replaced by what stands under that name.
    pub fn interpolated(&self, section: &str, text: &str) -> Result<String, TemplateError> {
        let entries: Entries = self.entries(section).unwrap_or_default().into_iter().collect();
        interpolate(text, &entries, 0)
    }
}

/// Values may name each other this deep, as in Python.
const MAX_DEPTH: usize = 10;

fn interpolate(text: &str, entries: &Entries, depth: usize) -> Result<String, TemplateError> {
    if depth > MAX_DEPTH {
        return Err(TemplateError::new("Recursion limit exceeded in value substitution"));
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        if let Some(behind) = after.strip_prefix('%') {
            out.push('%');
            rest = behind;
        } else if let Some((name, behind)) =
            after.strip_prefix('(').and_then(|n| n.split_once(")s"))
        {
            let value = entries.get(&name.to_lowercase()).or_else(|| entries.get(name));
            let value = value.ok_or_else(|| {
                TemplateError::new(format!("Bad value substitution: there is no option '{name}'"))
            })?;
            out.push_str(&interpolate(value.as_deref().unwrap_or_default(), entries, depth + 1)?);
            rest = behind;
        } else {
            return Err(TemplateError::new(format!(
                "'%' must be followed by '%' or '(', found: '%{after}'"
            )));
        }
    }
    out.push_str(rest);
    Ok(out)
}

struct Reader {
    ini: Ini,
    section: Option<String>,
    /// The option that an indented line goes on with, and its own indention.
    key: Option<(String, usize)>,
    case_sensitive: bool,
    allow_no_value: bool,
}

impl Reader {
    fn entries(&mut self) -> Result<&mut Entries, String> {
        match &self.section {
            None => Err("File contains no section headers".to_owned()),
            Some(name) if name == "DEFAULT" => Ok(&mut self.ini.defaults),
            Some(name) => Ok(self.ini.sections.entry(name.clone()).or_default()),
        }
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let text = line.trim();
        if text.starts_with(['#', ';']) {
            return Ok(());
        }
        let indention = line.len() - line.trim_start().len();
        let goes_on = self.key.clone().filter(|(_, own)| text.is_empty() || indention > *own);
        if let Some((key, _)) = goes_on {
            if let Some(Some(value)) = self.entries()?.get_mut(&key) {
                value.push('\n');
                value.push_str(text);
            }
            return Ok(());
        }
        if text.is_empty() {
            return Ok(());
        }
        if let Some(name) = text.strip_prefix('[').and_then(|name| name.split_once(']')) {
            return self.open(name.0);
        }
        let (name, value) = match text.split_once(['=', ':']) {
            Some((name, value)) => (name.trim_end(), Some(value.trim().to_owned())),
            None if self.allow_no_value => (text, None),
            None => return Err(format!("Source contains parsing errors: '{text}'")),
        };
        let name = if self.case_sensitive { name.to_owned() } else { name.to_lowercase() };
        self.key = Some((name.clone(), indention));
        match self.entries()?.insert(name.clone(), value) {
            None => Ok(()),
            Some(_) => Err(format!("option '{name}' already exists")),
        }
    }

    fn open(&mut self, name: &str) -> Result<(), String> {
        if self.ini.sections.contains_key(name) {
            return Err(format!("section '{name}' already exists"));
        }
        self.section = Some(name.to_owned());
        self.key = None;
        self.entries().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(ini: &Ini, section: &str, name: &str) -> Option<String> {
        let entries = ini.entries(section)?;
        entries.into_iter().find(|(key, _)| key == name).and_then(|(_, value)| value)
    }

    #[test]
    fn values_go_on_over_indented_lines_and_defaults_are_everywhere() {
        let text =
            "[DEFAULT]\nhome = /srv\n[web]\n; no\nPath = %(home)s/www\n   more\n\nport: 80\n";
        let ini = Ini::read(text, false, false).expect("reads");
        assert_eq!(value(&ini, "web", "path").as_deref(), Some("%(home)s/www\nmore"));
        assert_eq!(value(&ini, "web", "home").as_deref(), Some("/srv"));
        assert_eq!(value(&ini, "web", "port").as_deref(), Some("80"));
        assert_eq!(ini.interpolated("web", "%(home)s 5%%").as_deref(), Ok("/srv 5%"));
        assert!(ini.interpolated("web", "%(nope)s").is_err());
    }

    #[test]
    fn what_python_refuses_is_an_error() {
        for text in ["a = 1\n", "[s]\na = 1\na = 2\n", "[s]\n[s]\n", "[s]\nword\n"] {
            assert!(Ini::read(text, false, false).is_err(), "{text}");
        }
        assert!(Ini::read("[s]\nword\n", false, true).is_ok());
    }

    #[test]
    fn values_that_name_each_other_in_a_circle_are_an_error() {
        let ini = Ini::read("[s]\na = %(b)s\nb = %(a)s\n", false, false).expect("reads");
        assert!(ini.interpolated("s", "%(a)s").is_err());
    }
}
