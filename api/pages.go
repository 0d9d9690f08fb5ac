package main

import (
	"embed"
	"mime"
	"net/http"
	"path"

	"github.com/gofiber/fiber/v2"

	"castad/internal/observe"
)

//go:embed page
var pageFiles embed.FS

// pagePolicy lets our pages load from here only; photos, songs and videos may come from the blob store.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: http: https:; " +
	"media-src http: https:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// addPages registers the first page and the API's documentation. Nothing of them comes from elsewhere.
func (s *server) addPages(app *fiber.App) {
	for address, file := range map[string]string{
		"/": "index.html", "/page/app.js": "app.js", "/page/media.js": "media.js", "/page/style.css": "style.css",
		"/docs": "docs.html", "/page/docs.js": "docs.js",
	} {
		app.Get(address, func(c *fiber.Ctx) error { return sendPage(c, file) })
	}
	app.Get("/page/settings.json", func(c *fiber.Ctx) error {
		return c.JSON(map[string]any{"dev_login": s.Dev, "images": s.Blobs != nil})
	})
	app.Get("/favicon.ico", func(c *fiber.Ctx) error { return c.SendStatus(http.StatusNoContent) })
}

func sendPage(c *fiber.Ctx, file string) error {
	content, err := pageFiles.ReadFile("page/" + file)
	if err != nil {
		return err
	}
	c.Set("Content-Type", mime.TypeByExtension(path.Ext(file)))
	c.Set("Content-Security-Policy", pagePolicy)
	return c.Send(content)
}

// addHealth registers what load balancers and people ask: does the process live, and are its own connections and
// subscriptions there.
func (s *server) addHealth(app *fiber.App) {
	app.Get("/healthz", func(c *fiber.Ctx) error { return c.JSON(map[string]string{"status": "alive"}) })
	app.Get("/readyz", func(c *fiber.Ctx) error {
		ready, report := observe.Ask(c.UserContext(), s.Checks)
		status := "ready"
		if !ready {
			status = "not ready"
			c.Status(http.StatusServiceUnavailable)
		}
		return c.JSON(map[string]any{"status": status, "checks": report})
	})
}
