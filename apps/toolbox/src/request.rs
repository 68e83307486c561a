//! Reading requests: query parameters and JSON bodies, with refusals that say what is wrong.

use axum::{
    body::{Bytes, to_bytes},
    extract::{FromRequest, FromRequestParts, Query, Request},
    http::{HeaderMap, header::CONTENT_TYPE, request::Parts},
};
use http_body_util::LengthLimitError;
use sandgate_toolbox_api::ErrorCode;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};

use crate::error::Fault;

/// Room for a command with a file of some megabytes in it; files themselves have routes of their own.
const MAX_JSON_BYTES: usize = 16 << 20;

/// Query parameters.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => {
                use std::error::Error;
                let cause = rejection.source().map_or_else(|| rejection.to_string(), ToString::to_string);
                Err(Fault::bad_request(format!("invalid query: {cause}")))
            }
        }
    }
}

/// A JSON body.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        if !is_json(request.headers()) {
            let text = "the body must be JSON, with content-type application/json";
            return Err(Fault::new(ErrorCode::UnsupportedMediaType, text));
        }
        parse(&read(request).await?).map(Self)
    }
}

async fn read(request: Request) -> Result<Bytes, Fault> {
    to_bytes(request.into_body(), MAX_JSON_BYTES).await.map_err(|error| {
        let cause = std::error::Error::source(&error);
        if cause.and_then(|cause| cause.downcast_ref::<LengthLimitError>()).is_some() {
            let text = format!("the body is longer than {MAX_JSON_BYTES} bytes");
            Fault::new(ErrorCode::PayloadTooLarge, text)
        } else {
            Fault::new(ErrorCode::InvalidRequestBody, "the body broke off")
        }
    })
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let place = error.path().to_string();
        let place = if place == "." { String::new() } else { format!(" at `{place}`") };
        Fault::new(ErrorCode::InvalidRequestBody, format!("invalid request body{place}: {}", error.inner()))
    })?;
    json.end().map_err(|error| {
        Fault::new(ErrorCode::InvalidRequestBody, format!("invalid request body: {error}"))
    })?;
    Ok(value)
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// A boolean as SDKs of several languages write it.
pub(crate) fn lenient_bool<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "true" | "True" | "TRUE" | "1" | "t" | "T" => Ok(true),
        "false" | "False" | "FALSE" | "0" | "f" | "F" | "" => Ok(false),
        other => Err(serde::de::Error::custom(format!("`{other}` is neither true nor false"))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Sample {
        envs: BTreeMap<String, String>,
    }

    #[test]
    fn a_refusal_names_the_field() {
        let fault = parse::<Sample>(br#"{"envs":{"A":"x","B":7}}"#).expect_err("7 is no string");
        assert_eq!(fault.code, ErrorCode::InvalidRequestBody);
        assert!(fault.message.contains("`envs.B`"), "{}", fault.message);
    }

    #[test]
    fn what_follows_the_value_is_refused() {
        assert!(parse::<Sample>(br#"{"envs":{}} x"#).is_err());
        assert!(parse::<Sample>(br#"{"envs":{}}  "#).expect("blanks may follow").envs.is_empty());
    }

    #[test]
    fn content_types_of_json() {
        let with = |value: &str| HeaderMap::from_iter([(CONTENT_TYPE, value.parse().expect("a header"))]);
        assert!(is_json(&with("application/json; charset=utf-8")));
        assert!(is_json(&with("Application/Problem+JSON")));
        assert!(!is_json(&with("text/json-ish")));
        assert!(!is_json(&HeaderMap::new()));
    }
}
