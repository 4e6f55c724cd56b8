//! Debian's Chromium, driven through chromedriver as a person would: look, click, type, drag.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::http;

/// How long a page may take to show what it should; generous, for a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

pub struct Browser {
    driver: SocketAddr,
    session: String,
    _child: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub async fn start() -> Self {
        let mut child = Command::new("chromedriver")
            .args(["--port=0", "--log-level=WARNING"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver is missing: apt-get install chromium chromium-driver");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port: u16 = loop {
            let line = lines.next_line().await.unwrap().expect("chromedriver ended before it listened");
            if let Some((_, rest)) = line.split_once("successfully on port ") {
                break rest.trim_end_matches('.').parse().unwrap();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Self {
            driver: SocketAddr::from(([127, 0, 0, 1], port)),
            session: String::new(),
            _child: child,
            _profile: profile,
        };
        let data_dir = format!("--user-data-dir={}", browser._profile.path().display());
        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1500,950",
            &data_dir,
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": args},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let answer = browser.call("POST", "/session", &wanted).await;
        browser.session = format!("/session/{}", answer["sessionId"].as_str().unwrap());
        browser
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let answer = http::ask(self.driver, method, path, &[("content-type", "application/json")], &body).await;
        let value = answer.json()["value"].clone();
        assert_eq!(answer.status, 200, "{method} {path}: {value}");
        value
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.call("POST", &format!("{}{path}", self.session), &body).await
    }

    pub async fn open(&self, url: &str) {
        self.post("/url", json!({"url": url})).await;
    }

    /// What a JavaScript expression gives on the page.
    pub async fn eval(&self, expression: &str) -> Value {
        self.post("/execute/sync", json!({"script": format!("return {expression};"), "args": []})).await
    }

    /// Waits until a JavaScript expression is true.
    pub async fn until(&self, expression: &str) {
        let end = tokio::time::Instant::now() + PATIENCE;
        while self.eval(&format!("Boolean({expression})")).await != json!(true) {
            if tokio::time::Instant::now() > end {
                let text = self.eval("document.body.innerText").await;
                panic!("{expression} did not become true; errors: {:?}; the page shows: {text}", self.errors().await);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn element(&self, selector: &str) -> String {
        let found = self.post("/element", json!({"using": "css selector", "value": selector})).await;
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    pub async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        self.post(&format!("/element/{element}/click"), json!({})).await;
    }

    pub async fn type_into(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        self.post(&format!("/element/{element}/value"), json!({"text": text})).await;
    }

    /// Drags from the middle of an element by some CSS pixels.
    pub async fn drag(&self, selector: &str, by: [i32; 2]) {
        let element = self.element(selector).await;
        let origin = json!({ELEMENT: element});
        let actions = json!({"actions": [{
            "type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"},
            "actions": [
                {"type": "pointerMove", "duration": 0, "origin": origin, "x": 0, "y": 0},
                {"type": "pointerDown", "button": 0},
                {"type": "pointerMove", "duration": 50, "origin": "pointer", "x": by[0], "y": by[1]},
                {"type": "pointerUp", "button": 0},
            ],
        }]});
        self.post("/actions", actions).await;
    }

    /// Errors on the console, a broken content security policy among them.
    pub async fn errors(&self) -> Vec<String> {
        let entries = self.post("/se/log", json!({"type": "browser"})).await;
        let errors = entries.as_array().unwrap().iter().filter(|e| e["level"] == "SEVERE");
        errors.map(|e| e["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// A picture of the page, as PNG, kept below target/tmp for whoever wants to look.
    pub async fn screenshot(&self, name: &str) -> Vec<u8> {
        let answer = self.call("GET", &format!("{}/screenshot", self.session), &Value::Null).await;
        let png = from_base64(answer.as_str().unwrap());
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.png"));
        std::fs::write(path, &png).unwrap();
        png
    }

    pub async fn end(self) {
        self.call("DELETE", &self.session, &json!({})).await;
    }
}

/// RFC 4648 section 4.
fn from_base64(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => panic!("{c} is no base64"),
    };
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0u32, 0);
    for c in text.bytes().filter(|c| *c != b'=') {
        held = held << 6 | u32::from(value(c));
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    bytes
}
