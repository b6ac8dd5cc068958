package app

import (
	"context"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"

	"lethe/internal/outbound"
)

// textSender sends text messages through the gateway at url, as
// POST {"to": "447700900000", "text": "…"}; 2xx is success.
func textSender(out *outbound.Client, url string) func(ctx context.Context, number, text string) error {
	return func(ctx context.Context, number, text string) error {
		body, err := json.Marshal(map[string]string{"to": number, "text": text})
		if err != nil {
			return err
		}
		resp, err := out.Do(ctx, http.MethodPost, url, http.Header{"Content-Type": {"application/json"}}, body)
		if err != nil {
			return fmt.Errorf("text message gateway: %w", err)
		}
		if resp.Status < 200 || resp.Status > 299 {
			return fmt.Errorf("text message gateway: it answered %d", resp.Status)
		}
		return nil
	}
}
