//! A file of repositories: sections of settings, as Python's configparser reads them.

/// Sections in their order, each with its settings.
#[derive(Debug, Default)]
pub struct RepoFile(Vec<(String, Vec<(String, String)>)>);

impl RepoFile {
    pub fn read(text: &str) -> Self {
        let mut sections: Vec<(String, Vec<(String, String)>)> = Vec::new();
        for line in text.lines() {
            let bare = line.trim();
            if bare.is_empty() || bare.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = bare.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                sections.push((name.to_owned(), Vec::new()));
                continue;
            }
            let Some((_, settings)) = sections.last_mut() else { continue };
            if line.starts_with(char::is_whitespace) {
                // It goes on with the value above.
                if let Some((_, value)) = settings.last_mut() {
                    *value = format!("{value}\n{bare}");
                }
            } else if let Some((key, value)) = bare.split_once(['=', ':']) {
                let (key, value) = (key.trim().to_lowercase(), value.trim().to_owned());
                settings.retain(|(other, _)| *other != key);
                settings.push((key, value));
            }
        }
        Self(sections)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(other, _)| other != name);
    }

    pub fn add(&mut self, name: &str, settings: Vec<(String, String)>) {
        self.0.push((name.to_owned(), settings));
    }

    pub fn render(&self) -> String {
        let section = |(name, settings): &(String, Vec<(String, String)>)| {
            let lines = settings
                .iter()
                .map(|(key, value)| format!("{key} = {}\n", value.replace('\n', "\n\t")));
            format!("[{name}]\n{}\n", lines.collect::<String>())
        };
        self.0.iter().map(section).collect()
    }

    /// Everything in the order of its names, to compare and to show.
    pub fn dump(&self) -> String {
        let mut sections: Vec<_> = self.0.iter().collect();
        sections.sort();
        let section = |(name, settings): &(String, Vec<(String, String)>)| {
            let mut settings: Vec<_> = settings.iter().collect();
            settings.sort();
            let lines = settings.iter().map(|(key, value)| format!("{key} = {value}\n"));
            format!("[{name}]\n{}\n", lines.collect::<String>())
        };
        sections.into_iter().map(section).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_on_in_lines_that_are_indented() {
        let file = RepoFile::read("# c\n[b]\nbaseurl=x\n  y\nName: z\n[a]\n");
        assert_eq!(file.dump(), "[a]\n\n[b]\nbaseurl = x\ny\nname = z\n\n");
        assert_eq!(file.render(), "[b]\nbaseurl = x\n\ty\nname = z\n\n[a]\n\n");
    }
}
