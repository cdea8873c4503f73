package gcs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// pageObjects is how many objects an answer lists; Google allows no more.
const pageObjects = 1000

// Object is what a list says of one.
type Object struct {
	// Name is the whole of it.
	Name string
	// Size in bytes.
	Size int64
}

// List gives the objects whose names begin with prefix, page by page, and ends with the first
// error.
func (c *Client) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		for token := ""; ; {
			page, err := c.page(ctx, prefix, token)
			if err != nil {
				yield(Object{}, err)
				return
			}
			for _, object := range page.objects {
				if !yield(object, nil) {
					return
				}
			}
			if page.next == "" {
				return
			}
			if page.next == token {
				yield(Object{}, errors.New("the list does not get on: the token of the next page is that of this one"))
				return
			}
			token = page.next
		}
	}
}

// page is one answer to a request for a list.
type page struct {
	objects []Object
	next    string // the token of the next one, if there is one
}

func (c *Client) page(ctx context.Context, prefix, token string) (page, error) {
	query := url.Values{
		"prefix": {prefix}, "maxResults": {strconv.Itoa(pageObjects)}, "fields": {"nextPageToken,items(name,size)"},
	}
	if token != "" {
		query.Set("pageToken", token)
	}
	text, err := c.document(ctx, request{method: http.MethodGet, url: c.objects("", query)})
	if err != nil {
		return page{}, err
	}
	return decodePage(text, prefix)
}

// decodePage reads a page. All names in it begin with prefix.
func decodePage(text []byte, prefix string) (page, error) {
	var answer struct {
		Items []struct {
			Name string `json:"name"`
			Size string `json:"size"`
		} `json:"items"`
		NextPageToken string `json:"nextPageToken"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return page{}, fmt.Errorf("the list cannot be read: %w", err)
	}
	all := page{next: answer.NextPageToken}
	for _, item := range answer.Items {
		if item.Name == "" || !strings.HasPrefix(item.Name, prefix) {
			return page{}, fmt.Errorf("the list has an object %q that was not asked for", shorten(item.Name))
		}
		size, err := bytesOf(item.Size)
		if err != nil {
			return page{}, fmt.Errorf("the list has the object %q with %w", shorten(item.Name), err)
		}
		all.objects = append(all.objects, Object{Name: item.Name, Size: size})
	}
	return all, nil
}

// bytesOf reads a number of bytes, which the API writes as a text.
func bytesOf(text string) (int64, error) {
	size, err := strconv.ParseInt(text, 10, 64)
	if err != nil || size < 0 {
		return 0, fmt.Errorf("the size %q: want a number of bytes", shorten(text))
	}
	return size, nil
}

// Size gives the size of an object in bytes.
func (c *Client) Size(ctx context.Context, key string) (int64, error) {
	text, err := c.document(ctx, request{method: http.MethodGet, url: c.object(key, url.Values{"fields": {"size"}})})
	if err != nil {
		return 0, err
	}
	var answer struct {
		Size string `json:"size"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return 0, fmt.Errorf("what is said of the object cannot be read: %w", err)
	}
	size, err := bytesOf(answer.Size)
	if err != nil {
		return 0, fmt.Errorf("the object has %w", err)
	}
	return size, nil
}
