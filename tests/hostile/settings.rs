//! `ansible.cfg`.

use kup_play::settings::Config;
use proptest::prelude::*;

use super::assert_right_place;
use super::mutation::mutated;
use super::watch::{cases, watched};

const REAL: &str = "\
# comment
[defaults]
inventory = hosts.ini,
  more.yml
forks = 10 ; ten
roles_path: ~/roles:$HOME/x:{{CWD}}/y
host_key_checking = False
timeout = 30
[privilege_escalation]
become = true
[ssh_connection]
ssh_args = -o ControlMaster=auto -o \"ControlPersist=60s\"
pipelining = 'yes'
";

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_text_is_settings_or_an_error_at_its_place(text in mutated(vec![REAL.to_owned()])) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ansible.cfg");
        std::fs::write(&path, &text).expect("a file");
        watched(&text, || match Config::of_file(&path) {
            Ok(config) => {
                for entry in Config::entries() {
                    let _ = (config.value(entry.name), config.paths(entry.name), config.list(entry.name));
                }
            }
            Err(error) => assert_right_place(&error),
        });
    }
}
