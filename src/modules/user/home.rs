//! Home folders that useradd does not make.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::Path;

use super::super::files::failed;
use super::super::{Context, Failure};
use super::User;
use super::account::Account;

const LOGIN_DEFS: &str = "/etc/login.defs";

impl User {
    /// Makes the home folder when only its parents are missing too: useradd cannot.
    pub(super) fn parents_of_home(&self) -> Result<bool, Failure> {
        let Some(home) = self.home.as_ref().filter(|_| self.create_home.0) else {
            return Ok(false);
        };
        if home.parent().is_none_or(Path::is_dir) {
            return Ok(false);
        }
        self.make_home(home)?;
        Ok(true)
    }

    /// Makes the home folder of an account that has none.
    pub(super) fn missing_home(
        &self,
        account: &Account,
        context: &Context,
    ) -> Result<bool, Failure> {
        let home = self.home.as_deref().unwrap_or(&account.home);
        if home.exists() || !self.create_home.0 {
            return Ok(false);
        }
        if !context.check {
            self.make_home(home)?;
            give(home, account.uid, account.gid)?;
        }
        Ok(true)
    }

    fn make_home(&self, home: &Path) -> Result<(), Failure> {
        let skeleton = self.skeleton.as_ref().map_or("/etc/skel", |skeleton| &skeleton.0);
        let skeleton = Path::new(skeleton);
        let error = |error: io::Error| failed("cannot be made", home, &error);
        fs::create_dir_all(home).map_err(error)?;
        if skeleton.is_dir() {
            copy_tree(skeleton, home).map_err(error)?;
        }
        if let Ok(text) = fs::read_to_string(LOGIN_DEFS) {
            let mode = fs::Permissions::from_mode(home_mode(&text));
            fs::set_permissions(home, mode).map_err(error)?;
        }
        Ok(())
    }
}

/// The mode of home folders that login.defs asks for.
fn home_mode(text: &str) -> u32 {
    let value = |name: &str| {
        let line = text.lines().rev().find_map(|line| line.strip_prefix(name))?;
        u32::from_str_radix(line.strip_prefix([' ', '\t'])?.trim(), 8).ok()
    };
    value("HOME_MODE").or_else(|| Some(0o777 & !value("UMASK")?)).unwrap_or(0o755)
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            symlink(fs::read_link(entry.path())?, target)?;
        } else if kind.is_dir() {
            fs::create_dir(&target)?;
            fs::set_permissions(&target, entry.metadata()?.permissions())?;
            copy_tree(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Makes a folder and all in it the account's own. Links are not followed: one could
/// lead to anything.
pub fn give(path: &Path, uid: u32, gid: u32) -> Result<(), Failure> {
    let error = |error: io::Error| failed("chown failed", path, &error);
    lchown(path, Some(uid), Some(gid)).map_err(error)?;
    if !path.symlink_metadata().map_err(error)?.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(error)? {
        give(&entry.map_err(error)?.path(), uid, gid)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_of_homes_comes_before_the_mask() {
        assert_eq!(home_mode("UMASK\t\t077\n"), 0o700);
        assert_eq!(home_mode("HOME_MODE\t0750\nUMASK 022\n"), 0o750);
        assert_eq!(home_mode("#HOME_MODE 0700\n"), 0o755);
    }
}
