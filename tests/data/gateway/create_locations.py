import requests

url = "https://host.com/ocpi/cpos/cpo_id/locations"

payload = { "locations": [
 {
 "name": "Brussels Midi Hub",
 "address": "Place Victor Horta 1",
 "city": "Brussels",
 "country": "BE",
 "coordinates": {
 "latitude": 50.8357,
 "longitude": 4.3353
 },
 "public": True
 }
 ] }
headers = {
 "Authorization": "Bearer <token>",
 "Content-Type": "application/json"
}

response = requests.post(url, json=payload, headers=headers)

print(response.json())
