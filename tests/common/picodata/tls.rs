//! A certificate authority, and a certificate for each address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub struct Certificates {
    pub ca_pem: String,
    issuer: Issuer<'static, KeyPair>,
    configs: HashMap<IpAddr, Arc<ServerConfig>>,
}

impl Certificates {
    pub fn new() -> Certificates {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "the stand-in's authority");
        let key = KeyPair::generate().unwrap();
        Certificates {
            ca_pem: params.self_signed(&key).unwrap().pem(),
            issuer: Issuer::new(params, key),
            configs: HashMap::new(),
        }
    }

    /// TLS 1.2 and 1.3, with a certificate for the address and for `localhost`.
    pub fn config(&mut self, address: IpAddr) -> Arc<ServerConfig> {
        let issue = || {
            let names = [address.to_string(), "localhost".to_owned()];
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::new(names).unwrap();
            let certificate = certificate.signed_by(&key, &self.issuer).unwrap();
            let config = ServerConfig::builder_with_provider(ring::default_provider().into())
                .with_protocol_versions(rustls::ALL_VERSIONS)
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(
                    vec![CertificateDer::from(certificate)],
                    PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
                );
            Arc::new(config.unwrap())
        };
        Arc::clone(self.configs.entry(address).or_insert_with(issue))
    }
}
