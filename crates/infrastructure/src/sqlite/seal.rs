//! Sealing of what must never lie plain on disk, under a key beside the ledger: AES-256-GCM for values, HMAC-SHA256 for what
//! is only compared.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use sandgate_core::SandboxId;

/// Length of a key in bytes.
pub(super) const KEY_LEN: usize = 32;

/// Seals values, and opens what it sealed.
pub(super) struct Seal {
    values: RandomizedNonceKey,
    marks: hmac::Key,
}

impl Seal {
    /// A seal with this key.
    pub(super) fn new(key: &[u8; KEY_LEN]) -> Self {
        let values =
            RandomizedNonceKey::new(&AES_256_GCM, key).expect("the length is that of an AES-256 key");
        let of_marks = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), b"sandgate: marks of requests");
        Self { values, marks: hmac::Key::new(hmac::HMAC_SHA256, of_marks.as_ref()) }
    }

    /// A key that nobody has seen.
    pub(super) fn random_key() -> Result<[u8; KEY_LEN], Unspecified> {
        let mut key = [0; KEY_LEN];
        aws_lc_rs::rand::fill(&mut key)?;
        Ok(key)
    }

    /// By what a request is known again. Without our key nobody can try out what was in it.
    pub(super) fn mark(&self, request: &[u8]) -> Vec<u8> {
        hmac::sign(&self.marks, request).as_ref().to_vec()
    }

    /// The nonce, then the sealed value, which opens for the same sandbox alone.
    pub(super) fn seal(&self, id: SandboxId, mut value: Vec<u8>) -> Result<Vec<u8>, Unspecified> {
        let nonce = self.values.seal_in_place_append_tag(associated(id), &mut value)?;
        Ok([nonce.as_ref().as_slice(), &value].concat())
    }

    /// The value; `None` if it was sealed with another key, for another sandbox, or was changed.
    pub(super) fn open(&self, id: SandboxId, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, value) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut value = value.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.values.open_in_place(nonce, associated(id), &mut value).ok()?;
        Some(plain.to_vec())
    }
}

/// Binds a value to its row: one that is copied to another does not open there.
fn associated(id: SandboxId) -> Aad<String> {
    Aad::from(id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal() -> Seal {
        Seal::new(&Seal::random_key().expect("random bytes"))
    }

    #[test]
    fn a_sealed_value_opens_for_its_own_sandbox_alone() {
        let (seal, id) = (seal(), SandboxId::random());
        let sealed = seal.seal(id, b"hush".to_vec()).expect("seal");
        assert_eq!(seal.open(id, &sealed).as_deref(), Some(&b"hush"[..]));
        assert_eq!(seal.open(SandboxId::random(), &sealed), None);
    }

    #[test]
    fn another_key_or_a_changed_byte_opens_nothing() {
        let (seal_, id) = (seal(), SandboxId::random());
        let mut sealed = seal_.seal(id, b"hush".to_vec()).expect("seal");
        assert_eq!(seal().open(id, &sealed), None);
        *sealed.last_mut().expect("bytes") ^= 1;
        assert_eq!(seal_.open(id, &sealed), None);
        assert_eq!(seal_.open(id, b"short"), None);
    }

    #[test]
    fn the_same_value_is_never_sealed_to_the_same_bytes() {
        let (seal, id) = (seal(), SandboxId::random());
        let [one, other] = [(); 2].map(|()| seal.seal(id, b"hush".to_vec()).expect("seal"));
        assert_ne!(one, other);
    }
}
