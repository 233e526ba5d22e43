package httpapi

import (
	"cmp"
	"net/http"
	"reflect"
	"slices"

	"kedge/proto"
)

// descriptionPath is where the API is described. There is nothing secret in that.
const descriptionPath = proto.APIPath + "openapi.json"

// A Route is where and how a call is made over HTTP.
type Route struct {
	Endpoint proto.Endpoint
	Method   string
	Path     string
	Request  reflect.Type
	Reply    reflect.Type
}

func routeOf[Req, Rep any](e proto.Endpoint) Route {
	method := http.MethodPost
	if e.Reads() {
		method = http.MethodGet
	}
	return Route{Endpoint: e, Method: method, Path: proto.APIPath + e.Name(), Request: reflect.TypeFor[Req](), Reply: reflect.TypeFor[Rep]()}
}

// Routes returns every call that h answers, by path.
func (h *Handler) Routes() []Route {
	var routes []Route
	for _, e := range h.endpoints {
		routes = append(routes, e.Route)
	}
	slices.SortFunc(routes, func(a, b Route) int { return cmp.Compare(a.Path, b.Path) })
	return routes
}
