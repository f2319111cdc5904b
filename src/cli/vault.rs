//! `kup-play vault`: what ansible-vault does.

use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use clap::{ArgAction, Args, Parser, Subcommand};

use super::exit;
use super::passwords::ask;
use super::vault_options::{VaultOptions, load};
use crate::engine::LoadError;
use crate::secret::Secret;
use crate::settings::Config;
use crate::vault::{Asked, Envelope, Sources, Vault, is_vault};

/// Encrypts and decrypts files and values as ansible-vault does.
#[derive(Debug, Parser)]
#[command(name = "kup-play vault", version)]
pub struct Options {
    #[command(subcommand)]
    command: Command,

    /// Say which ansible.cfg is used
    #[arg(short, long, action = ArgAction::Count, global = true)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Encrypt files in place (or stdin to stdout)
    Encrypt(Sealing),
    /// Decrypt files in place (or stdin to stdout)
    Decrypt(Opening),
    /// Print files decrypted
    View(Reading),
    /// Edit an encrypted file
    Edit(Editing),
    /// Create an encrypted file in the editor
    Create(Editing),
    /// Encrypt files with another password
    Rekey(Rekeying),
    /// Encrypt a string for use in a YAML file
    #[command(visible_alias = "encrypt_string")]
    EncryptString(Strings),
}

#[derive(Debug, Args)]
struct Sealing {
    #[command(flatten)]
    vault: VaultOptions,
    /// The id to encrypt with, when there are several passwords
    #[arg(long, value_name = "ID")]
    encrypt_vault_id: Option<String>,
    /// Where to write to; '-' is stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
struct Opening {
    #[command(flatten)]
    vault: VaultOptions,
    /// Where to write to; '-' is stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
struct Reading {
    #[command(flatten)]
    vault: VaultOptions,
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
struct Editing {
    #[command(flatten)]
    vault: VaultOptions,
    /// The id to encrypt with, when there are several passwords
    #[arg(long, value_name = "ID")]
    encrypt_vault_id: Option<String>,
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
struct Rekeying {
    #[command(flatten)]
    vault: VaultOptions,
    /// The id to encrypt with, when there are several passwords
    #[arg(long, value_name = "ID")]
    encrypt_vault_id: Option<String>,
    /// The new password with its id
    #[arg(long, value_name = "ID")]
    new_vault_id: Option<String>,
    /// Read the new password from this file, or from this program
    #[arg(long, value_name = "FILE", conflicts_with = "new_vault_id")]
    new_vault_password_file: Option<PathBuf>,
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
struct Strings {
    #[command(flatten)]
    vault: VaultOptions,
    /// The id to encrypt with, when there are several passwords
    #[arg(long, value_name = "ID")]
    encrypt_vault_id: Option<String>,
    /// Where to write to; '-' is stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The variable's name, one for each string
    #[arg(short, long, value_name = "NAME")]
    name: Vec<String>,
    /// The name of the variable that is read from stdin
    #[arg(long, value_name = "NAME")]
    stdin_name: Option<String>,
    /// Ask for the string
    #[arg(short, long)]
    prompt: bool,
    /// The strings; '-' reads stdin
    strings: Vec<String>,
}

/// What went wrong, and the exit code.
struct Failed(String, u8);

impl From<String> for Failed {
    fn from(text: String) -> Self {
        Self(text, exit::ERROR)
    }
}

/// Runs the command; returns the exit code.
pub fn run(options: Options) -> u8 {
    let config = match Config::load().map_err(LoadError::of_settings) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("ERROR! {error}");
            return error.exit_code();
        }
    };
    if options.verbose > 0 {
        config.tell_file();
    }
    let done = match &options.command {
        Command::Encrypt(options) => encrypt(options, &config),
        Command::Decrypt(options) => decrypt(options, &config),
        Command::View(options) => view(options, &config),
        Command::Edit(options) => edit(options, &config),
        Command::Create(options) => create(options, &config),
        Command::Rekey(options) => rekey(options, &config),
        Command::EncryptString(options) => encrypt_strings(options, &config),
    };
    match done {
        Ok(()) => 0,
        Err(Failed(text, code)) => {
            eprintln!("ERROR! {text}");
            code
        }
    }
}

/// The passwords to read with; asked for when none is named.
fn known(options: &VaultOptions, config: &Config) -> Result<Vault, Failed> {
    Ok(load(&or_asked(options.sources(config)), Asked::Known)?)
}

fn or_asked(sources: Sources) -> Sources {
    Sources { ask: sources.ask || sources.is_empty(), ..sources }
}

/// The password to encrypt with, and its id.
fn chosen(config: &Config, sources: Sources, id: Option<&str>) -> Result<(String, Secret), Failed> {
    let vault = load(&or_asked(sources), Asked::New)?;
    let ids: Vec<&str> = vault.ids().collect();
    let id = id.map(str::to_owned).or_else(|| config.text("DEFAULT_VAULT_ENCRYPT_IDENTITY"));
    if ids.len() > 1 && id.is_none() {
        let text = format!(
            "The vault-ids {} are available to encrypt. Specify the vault-id to encrypt with \
             --encrypt-vault-id",
            ids.join(",")
        );
        return Err(Failed(text, exit::OPTIONS));
    }
    let (id, password) = vault.password(id.as_deref()).ok_or_else(|| {
        let id = id.as_deref().unwrap_or_default();
        let known = ids.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(", ");
        Failed::from(format!(
            "Did not find a match for --encrypt-vault-id={id} in the known vault-ids [{known}]"
        ))
    })?;
    Ok((id.to_owned(), password.clone()))
}

/// Encrypted, with a random salt or the one that the settings say.
fn sealed(config: &Config, text: &[u8], password: &Secret, id: Option<&str>) -> Envelope {
    let salt = config.text("VAULT_ENCRYPT_SALT");
    Envelope::seal(text, password, id, salt.as_deref().map(str::as_bytes))
}

fn encrypt(options: &Sealing, config: &Config) -> Result<(), Failed> {
    let (id, password) =
        chosen(config, options.vault.sources(config), options.encrypt_vault_id.as_deref())?;
    for path in or_stdin(&options.files) {
        let text = read(&path)?;
        if is_vault(&text) {
            return Err("input is already encrypted".to_owned().into());
        }
        let envelope = sealed(config, &text, &password, Some(&id));
        write(options.output.as_ref().unwrap_or(&path), envelope.to_string().as_bytes())?;
    }
    tell("Encryption successful");
    Ok(())
}

fn decrypt(options: &Opening, config: &Config) -> Result<(), Failed> {
    let vault = known(&options.vault, config)?;
    for path in or_stdin(&options.files) {
        let bytes = opened(&vault, &path)?.0;
        write(options.output.as_ref().unwrap_or(&path), &bytes)?;
    }
    tell("Decryption successful");
    Ok(())
}

fn view(options: &Reading, config: &Config) -> Result<(), Failed> {
    let vault = known(&options.vault, config)?;
    for path in &options.files {
        let bytes = opened(&vault, path)?.0;
        write(Path::new("-"), &bytes)?;
    }
    Ok(())
}

fn edit(options: &Editing, config: &Config) -> Result<(), Failed> {
    let vault = known(&options.vault, config)?;
    for path in &options.files {
        let (before, id, password) = opened(&vault, path)?;
        let after = edited(&before)?;
        if after != before {
            let envelope = sealed(config, &after, &password, id.as_deref());
            write(path, envelope.to_string().as_bytes())?;
        }
    }
    Ok(())
}

fn create(options: &Editing, config: &Config) -> Result<(), Failed> {
    let [path] = options.files.as_slice() else {
        let text = "ansible-vault create can take only one filename argument".to_owned();
        return Err(Failed(text, exit::OPTIONS));
    };
    if path.exists() {
        return Err(format!("{} exists, please use 'edit' instead", path.display()).into());
    }
    let (id, password) =
        chosen(config, options.vault.sources(config), options.encrypt_vault_id.as_deref())?;
    let envelope = sealed(config, &edited(b"")?, &password, Some(&id));
    write(path, envelope.to_string().as_bytes())
}

fn rekey(options: &Rekeying, config: &Config) -> Result<(), Failed> {
    let vault = known(&options.vault, config)?;
    let sources = Sources {
        ids: options.new_vault_id.iter().cloned().collect(),
        files: options.new_vault_password_file.iter().cloned().collect(),
        ..Sources::default()
    };
    let (id, password) = chosen(config, sources, options.encrypt_vault_id.as_deref())?;
    for path in &options.files {
        let bytes = opened(&vault, path)?.0;
        let envelope = sealed(config, &bytes, &password, Some(&id));
        write(path, envelope.to_string().as_bytes())?;
    }
    eprintln!("Rekey successful");
    Ok(())
}

fn encrypt_strings(options: &Strings, config: &Config) -> Result<(), Failed> {
    let (id, password) =
        chosen(config, options.vault.sources(config), options.encrypt_vault_id.as_deref())?;
    let mut texts: Vec<(Option<String>, Secret)> = Vec::new();
    if options.prompt {
        texts.push((
            options.name.first().cloned(),
            ask("String to encrypt (hidden): ").map_err(|e| e.to_string())?,
        ));
    }
    let arguments = || options.strings.iter().filter(|text| *text != "-");
    let stdin = options.strings.iter().any(|text| text == "-") || options.stdin_name.is_some();
    if stdin || (arguments().next().is_none() && !options.prompt) {
        let text = String::from_utf8(read(Path::new("-"))?)
            .map_err(|_| "stdin is not UTF-8 text".to_owned())?;
        texts.push((options.stdin_name.clone(), Secret::new(text)));
    }
    let names = options.name.iter().cloned().map(Some).chain(std::iter::repeat(None));
    texts.extend(names.zip(arguments().map(Secret::new)).collect::<Vec<_>>());
    let mut out = String::new();
    for (name, text) in texts {
        if text.expose().is_empty() {
            let text = "The plaintext provided was empty, not encrypting".to_owned();
            return Err(Failed(text, exit::OPTIONS));
        }
        let envelope = sealed(config, text.expose().as_bytes(), &password, Some(&id));
        out.push_str(&name.map(|name| format!("{name}: ")).unwrap_or_default());
        out.push_str("!vault |\n");
        for line in envelope.to_string().lines() {
            out.push_str(&format!("          {line}\n"));
        }
    }
    write(options.output.as_deref().unwrap_or(Path::new("-")), out.as_bytes())?;
    tell("Encryption successful");
    Ok(())
}

/// A file's content decrypted, the id in its header, and the password that fitted.
fn opened(vault: &Vault, path: &Path) -> Result<(Vec<u8>, Option<String>, Secret), Failed> {
    let content = read(path)?;
    if !is_vault(&content) {
        return Err(format!("input is not vault encrypted data for {}", path.display()).into());
    }
    let text = String::from_utf8_lossy(&content);
    let of_file = |error: crate::vault::Error| Failed::from(error.of_file(path));
    let id = Envelope::parse(&text).map_err(of_file)?.id;
    let (bytes, _, password) = vault.decrypt_with(&text).map_err(of_file)?;
    Ok((bytes, id, password.clone()))
}

/// What the operator makes of a text in $EDITOR; the file in between is private.
fn edited(text: &[u8]) -> Result<Vec<u8>, Failed> {
    let failed =
        |error: std::io::Error| Failed::from(format!("the text cannot be edited: {error}"));
    let mut file = tempfile::NamedTempFile::new().map_err(failed)?;
    file.write_all(text).map_err(failed)?;
    let editor = std::env::var("ANSIBLE_EDITOR").or_else(|_| std::env::var("EDITOR"));
    let words = editor.ok().and_then(|text| shlex::split(&text)).unwrap_or_default();
    let (program, arguments) = match words.split_first() {
        Some((program, arguments)) => (program.as_str(), arguments),
        None => ("vi", [].as_slice()),
    };
    let status = std::process::Command::new(program)
        .args(arguments)
        .arg(file.path())
        .status()
        .map_err(|error| format!("Unable to execute the command '{program}': {error}"))?;
    if !status.success() {
        return Err(format!("the editor '{program}' ended with {status}").into());
    }
    std::fs::read(file.path()).map_err(failed)
}

fn or_stdin(files: &[PathBuf]) -> Vec<PathBuf> {
    if files.is_empty() { vec![PathBuf::from("-")] } else { files.to_vec() }
}

fn read(path: &Path) -> Result<Vec<u8>, Failed> {
    let mut bytes = Vec::new();
    let done = if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes).map(|_| ())
    } else {
        std::fs::read(path).map(|content| bytes = content)
    };
    done.map_err(|error| format!("Unable to read source file ({}): {error}", path.display()))?;
    Ok(bytes)
}

/// Puts a private file in the place of what is there, in one step.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failed> {
    let failed = |error: std::io::Error| {
        Failed::from(format!("{} cannot be written: {error}", path.display()))
    };
    if path == Path::new("-") {
        return std::io::stdout().write_all(bytes).map_err(failed);
    }
    // A link stays one: what it points at is written.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file =
        tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    if let Ok(metadata) = path.metadata() {
        file.as_file().set_permissions(metadata.permissions()).map_err(failed)?;
    }
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// As ansible-vault: only somebody who looks at a terminal is told.
fn tell(text: &str) {
    if std::io::stdout().is_terminal() {
        eprintln!("{text}");
    }
}
