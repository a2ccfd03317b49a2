//! `pki`: certificates of the OPC UA server and of the client that reads the machines. Works on the
//! files alone; a running server notices within seconds.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::{EXIT_NO_INPUT, EXIT_SOFTWARE, EXIT_USAGE, Failure, Outcome, load};
use crate::app::clock::Clock as _;
use crate::app::time_text::print;
use crate::channel::pki::{Listed, PeerCertificate, Place, Store, certificate_path, create};
use crate::domain::time::{TICKS_PER_SECOND, Timestamp};
use crate::server::application_uri;
use crate::sys::WallClock;

/// Which certificates.
#[derive(Args, Debug)]
pub struct Where {
    /// Data directory
    #[arg(long, required_unless_present = "config", conflicts_with = "config")]
    data: Option<PathBuf>,
    /// Configuration file; its data directory is meant
    #[arg(long)]
    config: Option<PathBuf>,
    /// Those of our server (its clients) or of our client (the machines)
    #[arg(long, value_enum, default_value_t = Side::Server)]
    side: Side,
}

/// The two sides of OPC UA.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Side {
    /// Our server.
    Server,
    /// Our client.
    Client,
}

/// What to do with certificates.
#[derive(Subcommand)]
pub enum PkiCommand {
    /// List all certificates
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: Where,
    },
    /// Trust a certificate that was refused
    Trust {
        /// The first 8 or more characters of its SHA-256
        id: String,
        #[command(flatten)]
        place: Where,
    },
    /// Trust a certificate no longer
    Reject {
        /// The first 8 or more characters of its SHA-256
        id: String,
        #[command(flatten)]
        place: Where,
    },
    /// Remove a certificate altogether
    Remove {
        /// The first 8 or more characters of its SHA-256
        id: String,
        #[command(flatten)]
        place: Where,
    },
    /// Show a certificate in a file
    Show {
        /// A file in DER or PEM
        file: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a new key and certificate for our server; takes effect with the next start
    NewCert {
        /// Configuration file
        #[arg(long)]
        config: PathBuf,
        /// Replace a certificate that is there; clients must trust the new one
        #[arg(long)]
        renew: bool,
    },
}

/// Does it.
pub fn run(command: &PkiCommand) -> Outcome {
    let refused = |text: String| Failure::new(EXIT_USAGE, text);
    match command {
        PkiCommand::List { json, place } => {
            list(*json, &store(place)?.list());
            Ok(())
        }
        PkiCommand::Trust { id, place } => {
            let one = store(place)?.move_to(id, Place::Trusted).map_err(refused)?;
            said(&one, "is trusted now");
            Ok(())
        }
        PkiCommand::Reject { id, place } => {
            let one = store(place)?.move_to(id, Place::Rejected).map_err(refused)?;
            said(&one, "is not trusted any more; its channels end when they would be renewed");
            Ok(())
        }
        PkiCommand::Remove { id, place } => {
            let one = store(place)?.remove(id).map_err(refused)?;
            said(&one, "is removed");
            Ok(())
        }
        PkiCommand::Show { file, json } => show(file, *json),
        PkiCommand::NewCert { config, renew } => new_certificate(config, *renew),
    }
}

fn said(one: &Listed, what: &str) {
    eprintln!("{} {} {what}", one.certificate.short_id(), one.certificate.subject());
}

fn data(place: &Where) -> Result<PathBuf, Failure> {
    match (&place.data, &place.config) {
        (Some(data), _) => Ok(data.clone()),
        (None, Some(config)) => Ok(load::without_secrets(config)?.data),
        (None, None) => Err(Failure::new(EXIT_USAGE, "give --data or --config")),
    }
}

fn store(place: &Where) -> Result<Store, Failure> {
    let data = data(place)?;
    let side = match place.side {
        Side::Server => "pki/server",
        Side::Client => "pki/client",
    };
    let root = data.join(side);
    if !root.is_dir() {
        let text = format!(
            "{} is not there; start Linewright once, or name another directory",
            root.display()
        );
        return Err(Failure::new(EXIT_NO_INPUT, text));
    }
    Ok(Store::new(&root))
}

fn time(seconds: i64) -> String {
    print(Timestamp::from_ticks(seconds.saturating_mul(TICKS_PER_SECOND)))
}

fn describe(certificate: &PeerCertificate) -> serde_json::Value {
    let (from, to) = certificate.validity();
    serde_json::json!({
        "sha256": certificate.fingerprint,
        "subject": certificate.subject(),
        "issuer": certificate.issuer(),
        "application_uri": certificate.application_uri(),
        "key_bits": certificate.key_bits(),
        "valid_from": time(from),
        "valid_to": time(to),
        "expired": to < WallClock.now().ticks().div_euclid(TICKS_PER_SECOND),
    })
}

fn list(json: bool, all: &[Listed]) {
    if json {
        let rows: Vec<_> = all
            .iter()
            .map(|one| {
                let mut row = describe(&one.certificate);
                row["place"] = one.place.as_str().into();
                row["file"] = one.path.display().to_string().into();
                row
            })
            .collect();
        println!("{}", serde_json::Value::from(rows));
        return;
    }
    for one in all {
        let certificate = &one.certificate;
        let valid = time(certificate.validity().1);
        let uri = certificate.application_uri().unwrap_or_default();
        let (id, place) = (certificate.short_id(), one.place.as_str());
        println!("{id} {place:<9} until {valid} {} {uri}", certificate.subject());
    }
}

fn show(file: &Path, json: bool) -> Outcome {
    let content = std::fs::read(file).map_err(|error| {
        let text = format!("{} cannot be read: {error}; check the path", file.display());
        Failure::new(EXIT_NO_INPUT, text)
    })?;
    let certificate = PeerCertificate::from_file(&content).map_err(|_| {
        let text = format!("{} is no certificate with an RSA key in DER or PEM", file.display());
        Failure::new(EXIT_USAGE, text)
    })?;
    let described = describe(&certificate);
    if json {
        println!("{described}");
        return Ok(());
    }
    for (key, value) in described.as_object().into_iter().flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        println!("{key:<16} {text}");
    }
    Ok(())
}

fn new_certificate(config: &Path, renew: bool) -> Outcome {
    let settings = load::without_secrets(config)?;
    let root = settings.data.join("pki/server");
    let path = certificate_path(&root);
    if path.exists() && !renew {
        let text = format!("{} is there; --renew replaces it", path.display());
        return Err(Failure::new(EXIT_USAGE, text));
    }
    let uri = application_uri(settings.plant.site.as_str());
    create(&root, &uri, std::slice::from_ref(&settings.opcua.host))
        .map_err(|error| Failure::new(EXIT_SOFTWARE, error))?;
    eprintln!("{} is new; restart Linewright, and let its clients trust it", path.display());
    Ok(())
}
