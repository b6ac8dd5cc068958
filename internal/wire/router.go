package wire

import (
	"net/http"
	"slices"
	"strings"

	"lethe/internal/matrix"
)

// Handler answers one request. What it returns is written as JSON with status
// 200 ([Response] values are written as they say); an error is written by
// [Router], as the specification's standard error response.
type Handler func(*Request) (any, error)

// Route is one operation: a method and a path in the syntax of
// [http.ServeMux], without a host.
type Route struct {
	Method string
	Path   string
	Handle Handler
}

// Router serves routes. Add all routes before the first request.
type Router struct {
	mux    *http.ServeMux
	paths  map[string]*pathRoutes
	routes []Route
	opts   Options
}

// pathRoutes are the operations of one path, by method.
type pathRoutes struct {
	router   *Router
	path     string
	byMethod map[string]Handler
}

// NewRouter makes a router without routes.
func NewRouter(opts Options) *Router {
	rt := &Router{mux: http.NewServeMux(), paths: map[string]*pathRoutes{}, opts: opts.withDefaults()}
	return rt
}

// Add adds routes. It panics when a method and path come twice: that is a
// mistake in the program.
func (rt *Router) Add(routes ...Route) {
	for _, r := range routes {
		p := rt.paths[r.Path]
		if p == nil {
			p = &pathRoutes{router: rt, path: r.Path, byMethod: map[string]Handler{}}
			rt.paths[r.Path] = p
			rt.mux.Handle(r.Path, p)
		}
		if _, ok := p.byMethod[r.Method]; ok {
			panic("wire: two routes for " + r.Method + " " + r.Path)
		}
		p.byMethod[r.Method] = r.Handle
		rt.routes = append(rt.routes, r)
	}
}

// Routes lists all routes, for tests that must know each of them.
func (rt *Router) Routes() []Route { return slices.Clone(rt.routes) }

// ServeHTTP answers one request, whatever it is.
func (rt *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handler, pattern := rt.mux.Handler(r)
	p, ok := handler.(*pathRoutes)
	if !ok {
		// Also the mux's own redirects of unclean paths: CS API, API Standards,
		// an unknown endpoint is 404 M_UNRECOGNIZED.
		handle := unknownEndpoint
		if r.Method == http.MethodOptions {
			// Browsers ask before every request. Refused here, a client could never
			// see the 404 by which it finds out what this server does not have.
			handle = preflight
		}
		rt.serve(w, r, "", handle)
		return
	}
	if r.Method == http.MethodOptions {
		rt.serve(w, r, p.path, p.preflight)
		return
	}
	handle, ok := p.byMethod[r.Method]
	if !ok && r.Method == http.MethodHead {
		handle, ok = p.byMethod[http.MethodGet]
	}
	if !ok {
		handle = p.wrongMethod
	}
	// The mux sets the path values only when it serves the request itself.
	rt.mux.ServeHTTP(&dispatch{ResponseWriter: w, handle: handle, pattern: pattern}, r)
}

// dispatch carries the chosen handler through the mux to [pathRoutes].
type dispatch struct {
	http.ResponseWriter
	handle  Handler
	pattern string
}

// ServeHTTP is called by the mux, with the path values set.
func (p *pathRoutes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d := w.(*dispatch) //nolint:forcetypeassert // only Router.ServeHTTP serves the mux
	p.router.serve(d.ResponseWriter, r, p.path, d.handle)
}

func (p *pathRoutes) methods() []string {
	methods := []string{http.MethodOptions}
	for m := range p.byMethod {
		methods = append(methods, m)
	}
	slices.Sort(methods)
	return methods
}

// wrongMethod answers a known path with an unknown method (CS API, API
// Standards: 405 M_UNRECOGNIZED).
func (p *pathRoutes) wrongMethod(r *Request) (any, error) {
	r.setHeader("Allow", strings.Join(p.methods(), ", "))
	return nil, matrix.Errorf(matrix.CodeUnrecognized, "This endpoint does not take %s requests.", r.Method).
		WithStatus(http.StatusMethodNotAllowed)
}

func unknownEndpoint(*Request) (any, error) {
	return nil, matrix.Errorf(matrix.CodeUnrecognized, "This server has no such endpoint.")
}

// preflight answers OPTIONS; the CORS headers are those of every answer (CS API,
// Web Browser Clients).
func (p *pathRoutes) preflight(r *Request) (any, error) {
	r.setHeader("Allow", strings.Join(p.methods(), ", "))
	return preflight(r)
}

func preflight(*Request) (any, error) { return struct{}{}, nil }

func setCORS(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "X-Requested-With, Content-Type, Authorization")
}
