//! Who signs the calls.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::secret::Secret;
use crate::store::BoxFuture;

/// Why a source has no credentials now.
pub type CredentialsError = Box<dyn Error + Send + Sync>;

/// An access key of AWS, with the token of its session if it has one.
///
/// ```
/// use qsec_crypto::Secret;
/// use qsec_crypto::kms::aws::AwsCredentials;
///
/// let credentials = AwsCredentials::new("ASIAEXAMPLE", Secret::copy_from(b"secret"));
/// let credentials = credentials.with_session_token(Secret::copy_from(b"token"));
/// assert_eq!(credentials.access_key_id(), "ASIAEXAMPLE");
/// assert!(!format!("{credentials:?}").contains("token"));
/// ```
pub struct AwsCredentials {
    access_key_id: String,
    secret_access_key: Secret,
    session_token: Option<Secret>,
}

impl AwsCredentials {
    /// Takes an access key.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: Secret) -> Self {
        Self { access_key_id: access_key_id.into(), secret_access_key, session_token: None }
    }

    /// Adds the token that came with a key for a session.
    #[must_use]
    pub fn with_session_token(self, token: Secret) -> Self {
        Self { session_token: Some(token), ..self }
    }

    /// The public part, by which a source may know its own.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The secret parts, as the text that they are.
    pub(super) fn texts(&self) -> Result<(&str, Option<&str>), CredentialsError> {
        // The error of the conversion is not kept: it would tell where in the secret the first odd byte is.
        let text = |secret| text_of(secret).ok_or("the secret access key or the session token is no text");
        let token = self.session_token.as_ref().map(text).transpose()?;
        Ok((text(&self.secret_access_key)?, token))
    }
}

fn text_of(secret: &Secret) -> Option<&str> {
    std::str::from_utf8(secret.expose_secret()).ok()
}

impl fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsCredentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Has the credentials of the moment: those of a role, say, which are new every hour.
///
/// Each call of KMS asks for the current ones, so a source keeps them. What it fetches them with, and when, is its own.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use qsec_crypto::Secret;
/// use qsec_crypto::kms::aws::{AwsCredentials, CredentialsError, CredentialsSource};
/// use qsec_crypto::store::BoxFuture;
///
/// #[derive(Debug)]
/// struct Role(Mutex<Arc<AwsCredentials>>);
///
/// impl Role {
///     async fn assume(&self) -> Result<AwsCredentials, CredentialsError> {
/// #       /*
///         …
/// #       */
/// #       Ok(AwsCredentials::new("ASIATWO", Secret::copy_from(b"two")))
///     }
/// }
///
/// impl CredentialsSource for Role {
///     fn current(&self) -> BoxFuture<'_, Result<Arc<AwsCredentials>, CredentialsError>> {
///         Box::pin(async { Ok(self.0.lock().map_err(|_| "poisoned")?.clone()) })
///     }
///
///     fn refresh<'a>(
///         &'a self,
///         expired: &'a AwsCredentials,
///     ) -> BoxFuture<'a, Result<Option<Arc<AwsCredentials>>, CredentialsError>> {
///         Box::pin(async move {
///             let current = self.current().await?;
///             if current.access_key_id() != expired.access_key_id() {
///                 return Ok(Some(current)); // another call was faster
///             }
///             let fresh = Arc::new(self.assume().await?);
///             *self.0.lock().map_err(|_| "poisoned")? = Arc::clone(&fresh);
///             Ok(Some(fresh))
///         })
///     }
/// }
/// # let role = Role(Mutex::new(Arc::new(AwsCredentials::new("ASIAONE", Secret::copy_from(b"one")))));
/// # let one = pollster::block_on(role.current())?;
/// # assert_eq!(pollster::block_on(role.refresh(&one))?.unwrap().access_key_id(), "ASIATWO");
/// # Ok::<(), CredentialsError>(())
/// ```
pub trait CredentialsSource: Send + Sync + fmt::Debug {
    /// The credentials to sign with now. An error is `kms_unavailable` for the call that needed them.
    fn current(&self) -> BoxFuture<'_, Result<Arc<AwsCredentials>, CredentialsError>>;

    /// Others, for KMS has called these expired; `None` if there are no others. Asked once for a call. Many calls may ask
    /// at the same time: a source that fetches once for all of them compares the access key id.
    fn refresh<'a>(
        &'a self,
        _expired: &'a AwsCredentials,
    ) -> BoxFuture<'a, Result<Option<Arc<AwsCredentials>>, CredentialsError>> {
        Box::pin(async { Ok(None) })
    }
}

/// The same credentials for ever.
#[derive(Debug)]
pub(super) struct Fixed(Arc<AwsCredentials>);

impl From<AwsCredentials> for Fixed {
    fn from(credentials: AwsCredentials) -> Self {
        Self(Arc::new(credentials))
    }
}

impl CredentialsSource for Fixed {
    fn current(&self) -> BoxFuture<'_, Result<Arc<AwsCredentials>, CredentialsError>> {
        Box::pin(async { Ok(Arc::clone(&self.0)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_show_their_public_part_only() {
        let credentials = AwsCredentials::new("AKID", Secret::copy_from(b"secret-part"));
        let shown = format!("{credentials:?}");
        assert!(shown.contains("AKID") && !shown.contains("secret"), "{shown}");
        let credentials = AwsCredentials::new("AKID", Secret::copy_from(b"part\xFF"));
        let error = credentials.texts().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("255"), "{error:?}");
    }

    #[test]
    fn fixed_credentials_have_no_successor() {
        let fixed = Fixed::from(AwsCredentials::new("AKID", Secret::copy_from(b"x")));
        let current = pollster::block_on(fixed.current()).unwrap();
        assert!(pollster::block_on(fixed.refresh(&current)).unwrap().is_none());
    }
}
