//! `serve`: the book for a browser on this machine, built anew when something changes.
//!
//! The server is tower-http's, which gives out the files of one folder and nothing beside it. It is bound to the
//! loopback address: a book that is being written is nobody else's business.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::ws::{Message, WebSocket};
use axum::extract::{Request, WebSocketUpgrade};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use notify_debouncer_full::notify::{EventKind, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, new_debouncer};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tower_http::services::{ServeDir, ServeFile};
use tower_http::set_header::SetResponseHeaderLayer;

use crate::Site;

/// Where pages wait for the word that they are old. mdBook's script knows no other form of it.
const RELOAD: &str = "__livereload";

/// The longest path below the pages.
const LONGEST: usize = 2048;

/// The longest name that file systems know.
const LONGEST_NAME: usize = 255;

/// An editor that saves writes several times in a row.
const CALM: Duration = Duration::from_millis(200);

/// Builds the book, serves it, and builds it anew for each change, until the program is ended. `ready` is told
/// the address once it can be visited.
///
/// # Errors
/// The first build fails, or the port is taken. A later build that fails is said, and the old pages stay.
pub fn serve(site: Site, port: u16, ready: impl FnOnce(SocketAddr)) -> Result<()> {
    let site = site.reloading(RELOAD);
    let pages = site.build()?;
    let (built, _) = broadcast::channel(1);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_io()
        .build()?;
    let listener = runtime
        .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, port)))
        .with_context(|| format!("port {port} cannot be had"))?;
    let changes = watch(&site)?;
    let news = built.clone();
    thread::spawn(move || rebuild(&site, &changes, &news));
    ready(listener.local_addr()?);
    runtime.block_on(async { axum::serve(listener, pages_of(&pages, built)).await })?;
    Ok(())
}

/// The server of a folder, and of word that it is new.
pub fn pages_of(pages: &Path, built: broadcast::Sender<()>) -> Router {
    let missing = ServeFile::new(pages.join("404.html"));
    let files = ServeDir::new(pages).not_found_service(missing);
    // What was built a moment ago may be built anew in the next.
    let uncached = SetResponseHeaderLayer::overriding(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-store"),
    );
    let reload = get(|upgrade: WebSocketUpgrade| async move {
        upgrade.on_upgrade(move |socket| tell(socket, built.subscribe()))
    });
    Router::new()
        .route(&format!("/{RELOAD}"), reload)
        .fallback_service(files)
        .layer(uncached)
        .layer(middleware::from_fn(only_paths))
}

/// HTTP has requests that name no path, `*` or another host. They mean nothing here, and no page has a name that
/// file systems refuse.
async fn only_paths(request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !path.starts_with('/') {
        StatusCode::BAD_REQUEST.into_response()
    } else if path.len() > LONGEST || path.split('/').any(|name| name.len() > LONGEST_NAME) {
        StatusCode::URI_TOO_LONG.into_response()
    } else {
        next.run(request).await
    }
}

/// A page that waits hears of the next build, loads itself anew and so comes back.
async fn tell(mut page: WebSocket, mut built: broadcast::Receiver<()>) {
    if built.recv().await.is_ok() {
        // Whoever has left needs no word.
        let _ = page.send(Message::text("reload")).await;
    }
}

/// Changes of what the book is made of, one for each time that they have come to rest.
fn watch(site: &Site) -> Result<Receiver<()>> {
    let (sender, changes) = channel();
    let mut debouncer = new_debouncer(CALM, None, move |events: DebounceEventResult| {
        // Reading a chapter is no change of it.
        let is_change = |events: Vec<notify_debouncer_full::DebouncedEvent>| {
            events
                .iter()
                .any(|event| !matches!(event.kind, EventKind::Access(_)))
        };
        if events.is_ok_and(is_change) {
            // The thread that builds goes on as long as the program.
            let _ = sender.send(());
        }
    })?;
    for source in site.sources() {
        debouncer
            .watch(&source, RecursiveMode::Recursive)
            .with_context(|| format!("{} cannot be watched", source.display()))?;
    }
    // It watches until it is dropped.
    std::mem::forget(debouncer);
    Ok(changes)
}

fn rebuild(site: &Site, changes: &Receiver<()>, built: &broadcast::Sender<()>) {
    while changes.recv().is_ok() {
        // What came during the last build is part of this one.
        while changes.try_recv().is_ok() {}
        match site.build() {
            Ok(_) => {
                eprintln!("built anew");
                // Perhaps no page is open.
                let _ = built.send(());
            }
            Err(error) => eprintln!("{error:?}"),
        }
    }
}
