//! Certificates for tests: good ones, expired ones, and those of an authority that nobody trusts.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType, date_time_ymd,
};

/// Who issues certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// A new one; two of the same name do not trust each other's certificates.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are fine");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2100, 1, 1));
        let key = KeyPair::generate().expect("a key can be made");
        let pem = params.self_signed(&key).expect("a certificate can be made").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its own certificate, in a file of this name.
    pub fn write(&self, directory: &Path, name: &str) -> PathBuf {
        write(directory, &format!("{name}.pem"), &self.pem)
    }

    /// A certificate for servers at these addresses, and clients, valid now.
    pub fn issue(&self, name: &str, addresses: &[IpAddr]) -> Issued {
        self.issue_until(name, addresses, 2100)
    }

    /// The same, expired years ago.
    pub fn issue_expired(&self, name: &str, addresses: &[IpAddr]) -> Issued {
        self.issue_until(name, addresses, 2021)
    }

    fn issue_until(&self, name: &str, addresses: &[IpAddr], year: i32) -> Issued {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("the name is one");
        params.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(year, 1, 1));
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate can be made").pem();
        Issued { certificate, key: key.serialize_pem() }
    }
}

/// A certificate and its key, both as PEM.
#[derive(Debug)]
pub struct Issued {
    certificate: String,
    key: String,
}

impl Issued {
    /// Both in files of this name: the certificate's path and the key's.
    pub fn write(&self, directory: &Path, name: &str) -> (PathBuf, PathBuf) {
        (
            write(directory, &format!("{name}.pem"), &self.certificate),
            write(directory, &format!("{name}-key.pem"), &self.key),
        )
    }
}

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, text).expect("the directory can be written");
    path
}
