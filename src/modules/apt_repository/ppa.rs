//! Ubuntu's personal package archives.

use std::path::Path;

use serde_json::Value as Json;

use super::super::http::{self, Request};
use super::super::setup::platform::os_release;
use super::super::{Context, Failure, files};

pub struct Ppa {
    owner: String,
    name: String,
    codename: String,
}

impl Ppa {
    /// `ppa:owner/name`
    pub fn read(repo: &str, codename: Option<&str>) -> Option<Self> {
        let (owner, name) = match repo.strip_prefix("ppa:")?.split_once('/') {
            Some((owner, name)) => (owner, name),
            None => (repo.strip_prefix("ppa:")?, "ppa"),
        };
        let own = || os_release().get("VERSION_CODENAME").cloned().unwrap_or_default();
        let codename = codename.map_or_else(own, str::to_owned);
        Some(Self { owner: owner.to_owned(), name: name.to_owned(), codename })
    }

    pub fn line(&self) -> String {
        let Self { owner, name, codename } = self;
        format!("deb https://ppa.launchpadcontent.net/{owner}/{name}/ubuntu {codename} main")
    }

    pub fn file_name(&self) -> String {
        let text = format!("ppa_{}_{}_{}", self.owner, self.name, self.codename);
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
    }

    /// Has apt trust the key that the archive is signed with.
    pub fn trust(&self, validate_certs: bool, context: &Context) -> Result<(), Failure> {
        let Self { owner, name, .. } = self;
        let place = format!("/etc/apt/trusted.gpg.d/{owner}-{name}.asc");
        if context.check || Path::new(&place).exists() {
            return Ok(());
        }
        let about = format!("https://api.launchpad.net/1.0/~{owner}/+archive/{name}");
        let failed =
            |why: &str| Failure::new(format!("failed to fetch PPA information, error was: {why}"));
        let text = fetched(&about, validate_certs, context).map_err(|why| failed(&why))?;
        let about: Json = serde_json::from_slice(&text).map_err(|e| failed(&e.to_string()))?;
        let print = about.get("signing_key_fingerprint").and_then(Json::as_str);
        let print = print.ok_or_else(|| failed("it names no key"))?;
        let key =
            format!("https://keyserver.ubuntu.com/pks/lookup?op=get&options=mr&search=0x{print}");
        let key = fetched(&key, validate_certs, context)
            .map_err(|why| Failure::new(format!("Unable to get required signing key: {why}")))?;
        files::write(place.as_ref(), &mut key.as_slice(), None, false)
    }
}

fn fetched(url: &str, validate_certs: bool, context: &Context) -> Result<Vec<u8>, String> {
    let headers = vec![("Accept".to_owned(), "application/json, */*".to_owned())];
    let request = Request { validate_certs, headers, ..Request::get(url) };
    let mut answer = http::fetch(&request, context);
    match answer.status {
        Some(200) => answer.read().map_err(|error| error.to_string()),
        _ => Err(answer.msg),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_an_address() {
        let ppa = Ppa::read("ppa:me/tools", Some("noble")).expect("a PPA");
        assert_eq!(ppa.line(), "deb https://ppa.launchpadcontent.net/me/tools/ubuntu noble main");
        assert_eq!(ppa.file_name(), "ppa_me_tools_noble");
        assert!(Ppa::read("deb http://x y", None).is_none());
    }
}
