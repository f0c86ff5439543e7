// Command inventory-example logs in, lists, orders, orders again with the same request id, and asks
// for more than there is. See ../README.md.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	inventory "inventory-example/inventory/v1"
)

// gRPC sends the same bytes again, and with them the same request id. It waits as long as the
// server asks for.
const retries = `{"methodConfig": [{
	"name": [{"service": "inventory.v1.AuthService"}, {"service": "inventory.v1.InventoryService"}],
	"retryPolicy": {
		"maxAttempts": 5, "initialBackoff": "0.05s", "maxBackoff": "1s", "backoffMultiplier": 2,
		"retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"]
	}
}]}`

func main() {
	address := os.Getenv("INVENTORY_ADDRESS")
	if address == "" {
		address = "127.0.0.1:50051"
	}
	channel, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(retries))
	if err != nil {
		log.Fatal(err)
	}
	defer channel.Close()
	if err := shop(channel); err != nil {
		log.Fatal(err)
	}
}

func shop(channel *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	login, err := inventory.NewAuthServiceClient(channel).Login(ctx,
		&inventory.LoginRequest{Username: "Gayathri", Password: "password1"})
	if err != nil {
		return err
	}
	fmt.Printf("logged in: %s %s\n", login.User.Name, login.User.Role)
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+login.Token)

	client := inventory.NewInventoryServiceClient(channel)
	if err := list(ctx, client); err != nil {
		return err
	}
	order := &inventory.OrderItemRequest{RequestId: newRequestID(), ItemId: 2, Quantity: 1}
	for _, attempt := range []string{"ordered", "again"} {
		placed, err := client.OrderItem(ctx, order)
		if err != nil {
			return err
		}
		total := placed.Total
		fmt.Printf("%s: order %d for %d.%02d %s\n", attempt, placed.OrderId,
			total.Units, total.Nanos/10_000_000, total.CurrencyCode)
	}
	_, err = client.OrderItem(ctx,
		&inventory.OrderItemRequest{RequestId: newRequestID(), ItemId: 2, Quantity: 1_000_000})
	return refusal(err)
}

// list prints every item, page after page.
func list(ctx context.Context, client inventory.InventoryServiceClient) error {
	request := &inventory.GetAllItemsRequest{PageSize: 2}
	for {
		page, err := client.GetAllItems(ctx, request)
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			fmt.Printf("item %d: %s, %d on hand\n", item.Id, item.Name, item.Quantity)
		}
		request.PageToken = page.NextPageToken
		if request.PageToken == "" {
			return nil
		}
	}
}

// refusal prints why a call was refused, and returns what is no refusal of the inventory.
func refusal(err error) error {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.Domain == "inventory" {
			fmt.Printf("refused: %s, %s available\n", info.Reason, info.Metadata["available"])
			return nil
		}
	}
	return err
}

// newRequestID makes a UUIDv7, whose age the inventory can tell.
func newRequestID() string {
	return uuid.Must(uuid.NewV7()).String()
}
