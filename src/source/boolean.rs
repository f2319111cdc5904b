//! Words that Ansible takes for true and false.

/// The value of such a word, in any case.
pub fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_lowercase().as_str() {
        "y" | "yes" | "on" | "1" | "true" | "t" => Some(true),
        "n" | "no" | "off" | "0" | "false" | "f" => Some(false),
        _ => None,
    }
}

/// Why a value is none, in Ansible's words.
pub fn no_boolean(shown: &str) -> String {
    format!(
        "The value '{shown}' is not a valid boolean.  Valid booleans include: 0, 1, '0', '1', 'f', \
         'false', 'n', 'no', 'off', 'on', 't', 'true', 'y', 'yes'"
    )
}
