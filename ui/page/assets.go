package page

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
)

// asset is a file that pages refer to. Its name holds a hash of its content, so that browsers may
// keep it for good.
type asset struct {
	contentType string
	open        func() (io.ReadSeeker, error)
	packed      func() ([]byte, error) // by gzip, when it is first asked for: few ask for most of them
}

// Assets are the names that pages refer to, and the files.
type Assets struct {
	Style, Icons, Favicon string
	Script                string // "" when the binary was built without it
	Terminal              string // of interactive shells; "" likewise
	Worker                string // with the stream of all tabs; "" likewise
	files                 map[string]asset
}

// LoadAssets gathers what is in the binary: style sheets and pictures from src/, and the script from dist/, which may be
// empty.
func LoadAssets(sources, dist fs.FS) (*Assets, error) {
	a := &Assets{files: map[string]asset{}}
	var err error
	if a.Style, err = a.addStyles(sources); err != nil {
		return a, err
	}
	for file, name := range map[string]*string{"icons": &a.Icons, "favicon": &a.Favicon} {
		body, err := fs.ReadFile(sources, "src/"+file+".svg")
		if err != nil {
			return a, fmt.Errorf("ui: assets: %w", err)
		}
		*name = a.add(file, ".svg", body)
	}
	built, err := fs.Glob(dist, "dist/*.*.*")
	if err != nil {
		return a, fmt.Errorf("ui: assets: %w", err)
	}
	for _, file := range built {
		// The bundler has put a hash of the content into the names already.
		a.put(path.Base(file), func() (io.ReadSeeker, error) { return openAsset(dist, file) })
		switch name := path.Base(file); {
		case !strings.HasSuffix(name, ".js"):
		case strings.HasPrefix(name, "terminal."):
			a.Terminal = name
		case strings.HasPrefix(name, "worker."):
			a.Worker = name
		case strings.HasPrefix(name, "app."):
			a.Script = name
		}
	}
	return a, nil
}

// addStyles joins the style sheets: those that others build on first, then the areas' by name.
func (a *Assets) addStyles(sources fs.FS) (string, error) {
	files, err := fs.Glob(sources, "src/style/*.css")
	if err != nil {
		return "", fmt.Errorf("ui: assets: %w", err)
	}
	base := []string{"src/style/tokens.css", "src/style/base.css", "src/style/layout.css", "src/style/status.css"}
	var all bytes.Buffer
	for _, file := range append(base, slices.DeleteFunc(files, func(f string) bool { return slices.Contains(base, f) })...) {
		body, err := fs.ReadFile(sources, file)
		if err != nil {
			return "", fmt.Errorf("ui: assets: %w", err)
		}
		all.Write(body)
	}
	return a.add("style", ".css", all.Bytes()), nil
}

// path is the address of an asset; "" for one that is not there.
func (a *Assets) path(name string) string {
	if name == "" {
		return ""
	}
	return "/ui/assets/" + name
}

func (a *Assets) add(stem, ext string, body []byte) string {
	sum := sha256.Sum256(body)
	name := stem + "." + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:5])) + ext
	a.put(name, func() (io.ReadSeeker, error) { return bytes.NewReader(body), nil })
	return name
}

func (a *Assets) put(name string, open func() (io.ReadSeeker, error)) {
	types := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".map": "application/json"}
	packed := sync.OnceValues(func() ([]byte, error) {
		body, err := open()
		if err != nil {
			return nil, err
		}
		return pack(body)
	})
	a.files[name] = asset{contentType: types[path.Ext(name)], open: open, packed: packed}
}

// openAsset opens a file in place: what is in the binary is not copied.
func openAsset(files fs.FS, name string) (io.ReadSeeker, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	body, ok := f.(io.ReadSeeker)
	if !ok {
		return nil, fmt.Errorf("%s cannot be read from its middle on", name)
	}
	return body, nil // a file of embed has nothing to close
}

func pack(body io.Reader) ([]byte, error) {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err == nil {
		if _, err = io.Copy(w, body); err == nil {
			err = w.Close()
		}
	}
	return packed.Bytes(), err
}

func (a *Assets) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := a.files[r.PathValue("name")]
		if !ok {
			http.Error(w, "There is no such asset; a page from before an update may ask for it. Reload the page.", http.StatusNotFound)
			return
		}
		zipped := strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
		body, err := f.content(zipped)
		if err != nil {
			http.Error(w, "The asset cannot be read.", http.StatusInternalServerError)
			return
		}
		h := w.Header()
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("Content-Type", f.contentType)
		h.Set("Vary", "Accept-Encoding")
		if zipped {
			h.Set("Content-Encoding", "gzip")
		}
		http.ServeContent(w, r, "", time.Time{}, body)
	})
}

// content is what is sent of the asset.
func (f *asset) content(zipped bool) (io.ReadSeeker, error) {
	if !zipped {
		return f.open()
	}
	packed, err := f.packed()
	return bytes.NewReader(packed), err
}
