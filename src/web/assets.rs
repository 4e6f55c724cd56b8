//! The page itself, part of the program: nothing is loaded from anywhere else.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Path, media type and content of every file of the page.
const ASSETS: [(&str, &str, &str); 11] = [
    ("/", HTML, include_str!("ui/index.html")),
    ("/ui/style.css", CSS, include_str!("ui/style.css")),
    ("/ui/icon.svg", SVG, include_str!("ui/icon.svg")),
    ("/ui/main.js", JS, include_str!("ui/main.js")),
    ("/ui/api.js", JS, include_str!("ui/api.js")),
    ("/ui/dom.js", JS, include_str!("ui/dom.js")),
    ("/ui/cases.js", JS, include_str!("ui/cases.js")),
    ("/ui/case.js", JS, include_str!("ui/case.js")),
    ("/ui/viewer.js", JS, include_str!("ui/viewer.js")),
    ("/ui/review.js", JS, include_str!("ui/review.js")),
    ("/ui/statistics.js", JS, include_str!("ui/statistics.js")),
];

/// Routes of the page's files. Browsers ask again each time, so that an update of the program is seen at once.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    ASSETS.into_iter().fold(Router::new(), |router, (path, media_type, content)| {
        let file =
            move || async move { ([(CONTENT_TYPE, media_type), (CACHE_CONTROL, "no-cache")], content).into_response() };
        router.route(path, get(file))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_the_page_names_is_served() {
        for (from, _, content) in ASSETS {
            for quoted in content.split('"').filter(|q| q.starts_with("/ui/") || q.starts_with("./")) {
                let path = quoted.replace("./", "/ui/");
                assert!(ASSETS.iter().any(|(p, _, _)| *p == path), "{from} names {quoted}");
            }
        }
    }

    #[test]
    fn the_page_never_turns_data_into_markup_or_code() {
        for (path, _, content) in ASSETS {
            for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
            {
                assert!(!content.contains(forbidden), "{path} uses {forbidden}");
            }
            assert!(!content.contains("//cdn") && !content.contains("https://"), "{path} loads from elsewhere");
        }
    }

    #[test]
    fn the_page_says_what_it_is_for() {
        assert!(ASSETS[0].2.contains("Research use only, not reviewed"));
    }
}
