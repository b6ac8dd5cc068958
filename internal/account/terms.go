package account

// Policy is a document that people accept when they register (CS API, Terms of
// service at registration). Another Version has to be accepted anew.
type Policy struct {
	ID      string `json:"id"`
	Version string `json:"version"`
	// Name and URL are those of the document in English.
	Name string `json:"name"`
	URL  string `json:"url"`
}

// termsParams are the parameters of the terms stage (CS API, definition
// m.login.terms params).
func termsParams(policies []Policy) map[string]any {
	m := map[string]any{}
	for _, p := range policies {
		m[p.ID] = map[string]any{"version": p.Version, "en": map[string]string{"name": p.Name, "url": p.URL}}
	}
	return map[string]any{"policies": m}
}
