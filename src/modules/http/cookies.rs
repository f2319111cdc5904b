//! Cookies of one request and its redirects.

use ureq::http;

use super::url::host_of;

#[derive(Debug, Default)]
pub struct Cookies(Vec<Cookie>);

#[derive(Debug)]
struct Cookie {
    host: String,
    name: String,
    value: String,
}

impl Cookies {
    /// Keeps what a server sets; a value of the same name takes the place of the old one.
    pub fn take(&mut self, url: &str, headers: &http::HeaderMap) {
        for text in headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok()) {
            let pair = text.split(';').next().unwrap_or_default();
            let Some((name, value)) = pair.split_once('=') else { continue };
            let (name, value) = (name.trim(), value.trim());
            let host = host_of(url);
            let old = self.0.iter_mut().find(|cookie| cookie.name == name && cookie.host == host);
            match old {
                Some(cookie) => value.clone_into(&mut cookie.value),
                None => self.0.push(Cookie {
                    host: host.to_owned(),
                    name: name.to_owned(),
                    value: value.to_owned(),
                }),
            }
        }
    }

    /// What the server of an address is to get of them.
    pub fn header(&self, url: &str) -> Option<String> {
        let own = self.0.iter().filter(|cookie| cookie.host == host_of(url));
        let pairs: Vec<_> = own.map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    pub fn all(&self) -> Vec<(String, String)> {
        self.0.iter().map(|cookie| (cookie.name.clone(), cookie.value.clone())).collect()
    }
}
