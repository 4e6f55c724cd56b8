//! What every request passes: the name it was asked under, where it comes from, how long it may take, and the headers
//! that keep a browser from doing anything the page does not need.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, Method};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use super::WebConfig;
use super::error::{ApiError, Class};

/// Scripts, styles, images and requests from here alone; no frames, forms or plug-ins.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Puts the guard before every route of a router.
pub(super) fn guarded(router: Router, config: &WebConfig) -> Router {
    router
        .layer(DefaultBodyLimit::max(config.max_body_bytes))
        .layer(from_fn_with_state(Arc::new(config.clone()), guard))
}

async fn guard(State(config): State<Arc<WebConfig>>, request: Request, next: Next) -> Response {
    let answer = match admit(request.method(), request.headers(), &config.allowed_hosts) {
        Err(refusal) => refusal.into_response(),
        Ok(()) => {
            let limit = Duration::from_secs(config.request_timeout_s);
            tokio::time::timeout(limit, next.run(request)).await.unwrap_or_else(|_| {
                ApiError::new(
                    Class::Unavailable,
                    format!("The answer took longer than {} s.", config.request_timeout_s),
                    "Try again in a moment; if it stays, look into the daemon's log.",
                )
                .into_response()
            })
        }
    };
    with_headers(answer)
}

fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Whatever does not say otherwise may hold patient data and stays out of caches.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Whether a request may come in at all.
///
/// The host name is checked because a foreign page can point a name of its own at a loopback address (DNS rebinding);
/// the origin because a browser sends a foreign page's POST as well. Programs that are no browser send neither.
fn admit(method: &Method, headers: &HeaderMap, allowed_hosts: &[String]) -> Result<(), ApiError> {
    let host = headers.get(HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    let name = host_name(host);
    let ours = name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        || (!name.is_empty() && allowed_hosts.iter().any(|h| h.eq_ignore_ascii_case(name)));
    if !ours {
        return Err(ApiError::new(
            Class::ForeignHost,
            "This page does not answer under that host name.",
            "Use http://localhost with the port of the daemon, or add the name to web.allowed_hosts.",
        ));
    }
    if method.is_safe() {
        return Ok(());
    }
    let foreign_site = headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin");
    let foreign_origin = headers.get(ORIGIN).is_some_and(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        !authority.is_some_and(|a| a.eq_ignore_ascii_case(host))
    });
    if foreign_site || foreign_origin {
        return Err(ApiError::new(
            Class::ForeignOrigin,
            "The request was sent by another web page.",
            "Use contourd's own page.",
        ));
    }
    Ok(())
}

/// The name in a Host header, without port and without the brackets of an IPv6 address.
fn host_name(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::routing::{get, post};
    use tower::ServiceExt;

    use super::*;

    fn app(config: WebConfig) -> Router {
        let router = Router::new()
            .route("/", get(|| async { "hello" }))
            .route("/", post(|body: String| async move { body }))
            .route("/endless", get(std::future::pending::<()>));
        guarded(router, &config)
    }

    async fn ask(method: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let config =
            WebConfig { allowed_hosts: vec!["review.clinic".into()], max_body_bytes: 100, ..WebConfig::default() };
        app(config).oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn only_our_own_names_are_answered() {
        for host in ["localhost:8080", "LOCALHOST", "127.0.0.1:1", "127.8.8.8", "[::1]:8080", "review.clinic:443"] {
            assert_eq!(ask("GET", &[("host", host)], "").await.status(), StatusCode::OK, "{host}");
        }
        for host in ["evil.example", "192.168.1.1", "localhost.evil.example", "", "[", "review.clinic.evil", "[::2]"] {
            assert_eq!(ask("GET", &[("host", host)], "").await.status(), StatusCode::MISDIRECTED_REQUEST, "{host}");
        }
        assert_eq!(ask("GET", &[], "").await.status(), StatusCode::MISDIRECTED_REQUEST);
    }

    #[tokio::test]
    async fn a_post_of_another_page_is_refused() {
        let host = ("host", "localhost:8080");
        let status = async |headers: &[(&str, &str)]| ask("POST", headers, "x").await.status();
        assert_eq!(status(&[host]).await, StatusCode::OK);
        assert_eq!(status(&[host, ("origin", "http://localhost:8080")]).await, StatusCode::OK);
        assert_eq!(status(&[host, ("sec-fetch-site", "same-origin")]).await, StatusCode::OK);
        for origin in
            ["http://evil.example", "http://localhost:9090", "null", "localhost:8080", "http://localhost:8080.x"]
        {
            assert_eq!(status(&[host, ("origin", origin)]).await, StatusCode::FORBIDDEN, "{origin}");
        }
        for site in ["cross-site", "same-site", "none"] {
            assert_eq!(status(&[host, ("sec-fetch-site", site)]).await, StatusCode::FORBIDDEN, "{site}");
        }
        // Reading is harmless: the answer stays out of the other page's reach.
        assert_eq!(ask("GET", &[host, ("sec-fetch-site", "cross-site")], "").await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn every_answer_carries_the_headers() {
        for host in ["localhost", "evil.example"] {
            let response = ask("GET", &[("host", host)], "").await;
            for (name, value) in HEADERS {
                assert_eq!(response.headers().get(&name).unwrap(), value, "{host} {name}");
            }
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
            assert!(response.headers().get("access-control-allow-origin").is_none());
        }
    }

    #[tokio::test]
    async fn a_large_body_is_refused() {
        assert_eq!(ask("POST", &[("host", "localhost")], &"x".repeat(100)).await.status(), StatusCode::OK);
        let status = ask("POST", &[("host", "localhost")], &"x".repeat(101)).await.status();
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn a_request_does_not_last_for_ever() {
        let request = Request::builder().uri("/endless").header("host", "localhost").body(Body::empty()).unwrap();
        let config = WebConfig { request_timeout_s: 1, ..WebConfig::default() };
        let response = app(config).oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
