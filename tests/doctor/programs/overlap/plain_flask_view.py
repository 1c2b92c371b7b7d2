import time

from flask import Flask, jsonify


def stock(shop):
    time.sleep(0.05)
    return len(shop)


app = Flask(__name__)


@app.get("/stock")
def all_stock():
    return jsonify({shop: stock(shop) for shop in ["north", "south", "west", "east", "harbour"]})  # HERE


assert app.test_client().get("/stock").json["harbour"] == 7
