// Package gcs reads and writes the objects of a bucket of Google Cloud Storage by its JSON API
// (https://cloud.google.com/storage/docs/json_api). It does what package blobs needs, and no
// more: Google's own client brings a second transport, with all that this needs, and is a third
// of a program that uses it.
//
// Requests that fail for a while are made again: see [Client]. What was read is of one
// generation of the object, also where the connection broke in between. Errors hold neither
// tokens nor URLs.
package gcs

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// host is where the API is.
const host = "https://storage.googleapis.com"

// silence is how long a server may take to begin an answer: longer than Google takes to put
// an upload together, and no matter for a download, whose bytes come later.
const silence = time.Minute

// Config says which bucket it is, and how it is reached.
type Config struct {
	// Bucket is its name.
	Bucket string
	// Anonymous shows no credentials, which is enough to read a public bucket.
	Anonymous bool
	// Emulator is host and port of an emulator, or its URL, as Google's libraries take it of
	// STORAGE_EMULATOR_HOST; empty for Google itself. No credentials are sent there.
	Emulator string
}

// Client reads and writes the objects of a bucket. It is safe for concurrent use.
//
// What fails with the status 408, 429 or 5xx, or with the connection, is tried again after 1, 2,
// 4 and 8 seconds, less up to half of it by chance: truncated exponential back-off with jitter,
// as https://cloud.google.com/storage/docs/retry-strategy asks for. All that is done here is
// idempotent by its sense: an object that was written twice has the same content.
type Client struct {
	bucket string
	base   string // scheme and host
	http   *http.Client
	tokens *tokens // nil where there are no credentials to show
	first  time.Duration
}

// New finds the credentials, unless none are wanted. It asks the storage nothing. The error is
// that there are no credentials, or none that can be used.
func New(ctx context.Context, config Config) (*Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = silence
	c := &Client{bucket: config.Bucket, base: host, first: time.Second, http: &http.Client{
		Transport: transport,
		// The API redirects nowhere, and a token must not go anywhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if config.Emulator != "" {
		base, err := emulator(config.Emulator)
		if err != nil {
			return nil, err
		}
		c.base = base
		return c, nil
	}
	if config.Anonymous {
		return c, nil
	}
	found, err := defaultTokens(ctx, transport)
	if err != nil {
		return nil, err
	}
	c.tokens = found
	return c, nil
}

// emulator gives scheme and host of what STORAGE_EMULATOR_HOST says.
func emulator(text string) (string, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return "", errors.New("STORAGE_EMULATOR_HOST: want host:port, or http://host:port")
	}
	return u.Scheme + "://" + u.Host, nil
}

// Close ends the connections that nobody uses; readers that are open stay so.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// objects is the URL of the bucket's objects. prefix is empty, or names another one of the
// services behind the same host.
func (c *Client) objects(prefix string, query url.Values) string {
	return c.base + prefix + "/storage/v1/b/" + escape(c.bucket) + "/o?" + query.Encode()
}

// object is the URL of one object.
func (c *Client) object(key string, query url.Values) string {
	return c.base + "/storage/v1/b/" + escape(c.bucket) + "/o/" + escape(key) + "?" + query.Encode()
}

// escape makes a name one part of a path. It escapes all that Google lists
// (https://cloud.google.com/storage/docs/request-endpoints#encoding), which is more than
// [url.PathEscape] does.
func escape(name string) string {
	return strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
}
