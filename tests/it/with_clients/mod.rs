//! Clients that others wrote, against routes of a test server over real sockets: the official ones of GOV.UK Notify, Python
//! `requests`, and curl.

mod api_keys;
mod bodies;
mod notify;

use axum::Router;
use tokio::net::TcpListener;

/// Serves on loopback until the test ends; gives the URL without a path.
async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, app).await });
    url
}
